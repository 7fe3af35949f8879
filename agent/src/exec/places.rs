//! Where Windows has its own folders on this server. Paths of the core begin with a variable of them; here it is replaced, by what the
//! registry of the machine says: an environment belongs to whoever started the process, and nobody but an administrator sets these.

use std::sync::LazyLock;

/// Windows' folders, each absolute and without a trailing backslash.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Places {
    windows: String,
    program_files: String,
    program_data: String,
}

/// Read once: Windows moves none of them while it runs.
static HERE: LazyLock<Places> = LazyLock::new(|| {
    let [windows, program_files, program_data] = told();
    Places::of(windows, program_files, program_data)
});

/// A path of the core, as it is on this server: a variable that it begins with is replaced, whatever its case.
#[must_use]
pub fn expand(path: &str) -> String {
    HERE.expand(path)
}

impl Places {
    /// The folders as they were told; each by its usual place where it was not, or where it is no folder of a local drive.
    fn of(
        windows: Option<String>,
        program_files: Option<String>,
        program_data: Option<String>,
    ) -> Self {
        let windows = windows.filter(|told| is_absolute(told));
        let mut places = Self {
            windows: trimmed(windows.as_deref().unwrap_or(r"C:\Windows")),
            program_files: String::new(),
            program_data: String::new(),
        };
        let drive = places.drive().to_owned();
        let or_usual = |told: Option<String>, usual: &str| {
            let told = told.map(|told| places.expand(&told));
            let told = told.filter(|told| is_absolute(told));
            trimmed(&told.unwrap_or_else(|| format!("{drive}{usual}")))
        };
        let program_files = or_usual(program_files, r"\Program Files");
        let program_data = or_usual(program_data, r"\ProgramData");
        places.program_files = program_files;
        places.program_data = program_data;
        places
    }

    /// The drive of Windows, such as `C:`.
    fn drive(&self) -> &str {
        self.windows.get(..2).unwrap_or("C:")
    }

    fn expand(&self, path: &str) -> String {
        let variables = [
            ("%SystemRoot%", self.windows.as_str()),
            ("%windir%", &self.windows),
            ("%SystemDrive%", self.drive()),
            ("%ProgramFiles%", &self.program_files),
            ("%ProgramW6432%", &self.program_files),
            ("%ProgramData%", &self.program_data),
        ];
        for (variable, folder) in variables {
            let start = path.get(..variable.len());
            if start.is_some_and(|start| start.eq_ignore_ascii_case(variable)) {
                return format!("{folder}{}", &path[variable.len()..]);
            }
        }
        path.to_owned()
    }
}

fn trimmed(folder: &str) -> String {
    folder.trim_end_matches('\\').to_owned()
}

/// A folder of a drive by its letter, such as `D:\Programs`.
fn is_absolute(folder: &str) -> bool {
    let drive = folder.starts_with(|letter: char| letter.is_ascii_alphabetic());
    drive && folder.get(1..3) == Some(r":\") && folder.len() > 3
}

/// Windows' own folder, that of programs and that of their data, as the machine's registry says ([K]).
#[cfg(windows)]
fn told() -> [Option<String>; 3] {
    const FOLDERS: [(&str, &str); 3] = [
        (agent_core::product::WINDOWS_KEY, "SystemRoot"),
        (
            r"SOFTWARE\Microsoft\Windows\CurrentVersion",
            "ProgramFilesDir",
        ),
        (
            r"SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList",
            "ProgramData",
        ),
    ];
    FOLDERS.map(|(key, value)| {
        let key = windows_registry::LOCAL_MACHINE.open(key).ok()?;
        key.get_string(value).ok()
    })
}

#[cfg(not(windows))]
fn told() -> [Option<String>; 3] {
    [const { None }; 3]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(told: [&str; 3]) -> Places {
        let [windows, files, data] = told.map(|told| (!told.is_empty()).then(|| told.to_owned()));
        Places::of(windows, files, data)
    }

    #[test]
    fn a_path_begins_where_the_server_has_it() {
        let here = places([r"D:\WINNT", r"E:\Programs\", r"%SystemDrive%\Data"]);
        for (path, is) in [
            (r"%SystemRoot%\System32\sc.exe", r"D:\WINNT\System32\sc.exe"),
            (r"%programfiles%\a", r"E:\Programs\a"),
            (r"%ProgramW6432%\a", r"E:\Programs\a"),
            (r"%ProgramData%\Entrain", r"D:\Data\Entrain"),
            (r"%SystemDrive%\", r"D:\"),
            // What begins otherwise is as it is written.
            (r"F:\%ProgramData%\a", r"F:\%ProgramData%\a"),
            (r"%USERPROFILE%\a", r"%USERPROFILE%\a"),
            ("", ""),
        ] {
            assert_eq!(here.expand(path), is);
        }
    }

    #[test]
    fn what_is_not_told_or_no_folder_is_where_it_usually_is() {
        let usual = places([""; 3]);
        assert_eq!(usual.expand("%SystemRoot%"), r"C:\Windows");
        assert_eq!(usual.expand("%ProgramFiles%"), r"C:\Program Files");
        assert_eq!(usual.expand("%ProgramData%"), r"C:\ProgramData");
        for odd in [
            r"\\server\share",
            "Windows",
            r"C:",
            r"C:\",
            r"1:\a",
            r"%TEMP%\a",
        ] {
            assert_eq!(places([odd; 3]), usual, "{odd}");
        }
        let elsewhere = places([r"D:\Windows", "", "odd"]);
        assert_eq!(elsewhere.expand("%ProgramFiles%"), r"D:\Program Files");
        assert_eq!(elsewhere.expand("%ProgramData%"), r"D:\ProgramData");
    }

    /// Whoever writes a path into the core writes it below a variable that is known here.
    #[test]
    fn every_variable_of_the_core_is_replaced() {
        for variable in agent_core::product::VARIABLES {
            let path = expand(&format!(r"{variable}\a"));
            assert!(is_absolute(&path), "{path}");
        }
    }
}
