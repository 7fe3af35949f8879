//! Reads the logs of installers and products: one log may be several files, in one of two encodings.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use agent_core::op::LogEnds;

/// Lines that are read from the end of one file. A package that failed tells why before it tells, at length, how it took
/// everything back.
const LINES: usize = 20_000;

/// The files of a setup's log: its own, and one of each package that it ran, named after it.
fn files(folder: &Path, stem: &str) -> io::Result<Vec<(SystemTime, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(stem) && name.ends_with(".log") {
            files.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    // Packages before the setup that sums them up, and each in the order of its last line.
    files.sort_by_key(|(written, path)| {
        (path.file_stem().is_some_and(|name| name == stem), *written)
    });
    Ok(files)
}

/// Removes what an earlier setup wrote.
///
/// # Errors
/// When a file cannot be removed.
pub fn clear(folder: &Path, stem: &str) -> io::Result<()> {
    for (_, path) in files(folder, stem)? {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// The last lines of a setup's log, those of its packages first.
///
/// # Errors
/// When there is none, or it cannot be read.
pub fn of_setup(folder: &Path, stem: &str) -> io::Result<Vec<String>> {
    let files = files(folder, stem)?;
    if files.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the setup wrote no log",
        ));
    }
    let mut lines = Vec::new();
    for (_, path) in files {
        lines.extend(last_lines(&path)?);
    }
    Ok(lines)
}

/// The last lines of the newest file of a folder.
///
/// # Errors
/// When there is none, or it cannot be read.
pub fn newest(folder: &Path) -> io::Result<Vec<String>> {
    let mut newest: Option<(SystemTime, PathBuf)> = None;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let written = entry.metadata()?.modified()?;
        if newest.as_ref().is_none_or(|(before, _)| *before < written) {
            newest = Some((written, entry.path()));
        }
    }
    let Some((_, path)) = newest else {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the folder is empty",
        ));
    };
    last_lines(&path)
}

/// The same of the files whose name begins so and that end with `.log`, where the newest was written to in the last `within`.
///
/// # Errors
/// When there is none, when it is older, or when it cannot be read.
pub fn newest_of(folder: &Path, stem: &str, within: Duration) -> io::Result<Vec<String>> {
    let mut newest: Option<(SystemTime, PathBuf)> = None;
    for (written, path) in files(folder, stem)? {
        if newest.as_ref().is_none_or(|(before, _)| *before < written) {
            newest = Some((written, path));
        }
    }
    let Some((written, path)) = newest else {
        let what = format!("no {stem}*.log is there");
        return Err(io::Error::new(io::ErrorKind::NotFound, what));
    };
    // A clock that was set back makes it younger than now.
    let age = written.elapsed().unwrap_or_default();
    if age > within {
        let what = format!(
            "the newest was last written to {} hours ago",
            age.as_secs() / 3600
        );
        return Err(io::Error::new(io::ErrorKind::NotFound, what));
    }
    last_lines(&path)
}

/// How far each file of a folder goes whose name begins so; none where the folder is not there yet.
///
/// # Errors
/// When it cannot be read.
pub fn ends(folder: &Path, stem: &str) -> io::Result<LogEnds> {
    let files = lengths(folder, stem)?.into_iter();
    Ok(LogEnds {
        files: files.map(|(_, name, length)| (name, length)).collect(),
        at: crate::agent::now(),
    })
}

/// The last lines of what was written to these files after they went so far, in the order in which they were written to last. One that is shorter by now
/// was begun anew, and one that was not there is new: all of it counts.
///
/// # Errors
/// When they cannot be read.
pub fn after(folder: &Path, stem: &str, before: &LogEnds) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    for (_, name, length) in lengths(folder, stem)? {
        let from = before
            .files
            .get(&name)
            .copied()
            .filter(|from| *from <= length);
        if from == Some(length) {
            continue;
        }
        let bytes = fs::read(folder.join(name))?;
        let from = usize::try_from(from.unwrap_or_default()).unwrap_or(usize::MAX);
        lines.extend(last_lines_of(&bytes, from));
    }
    let over = lines.len().saturating_sub(LINES);
    lines.drain(..over);
    Ok(lines)
}

/// Files of a folder whose names begin so, with their lengths, in the order in which they were written to last.
fn lengths(folder: &Path, stem: &str) -> io::Result<Vec<(SystemTime, String, u64)>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // What Windows keeps of a file in its folder is as old as the last time that somebody closed it: the file itself is asked.
        let is = fs::metadata(entry.path())?;
        if is.is_file() && name.starts_with(stem) {
            files.push((is.modified()?, name, is.len()));
        }
    }
    files.sort();
    Ok(files)
}

fn last_lines(path: &Path) -> io::Result<Vec<String>> {
    Ok(last_lines_of(&fs::read(path)?, 0))
}

/// The last lines of a file behind so many of its bytes. Its encoding stands at its beginning.
fn last_lines_of(bytes: &[u8], from: usize) -> Vec<String> {
    let mark = bytes.get(..2).filter(|mark| *mark == MARK);
    let behind = bytes.get(from..).unwrap_or_default();
    let text = match mark.filter(|_| from > 0) {
        Some(mark) => decode(&[mark, behind].concat()),
        None => decode(behind),
    };
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LINES);
    lines[from..]
        .iter()
        .map(|line| (*line).to_owned())
        .collect()
}

/// Files in UTF-16 begin so.
const MARK: &[u8] = &[0xff, 0xfe];

/// Windows Installer writes its logs as UTF-16 with a mark, other installers as 8-bit text.
fn decode(bytes: &[u8]) -> String {
    match bytes.strip_prefix(MARK) {
        Some(rest) => {
            let units: Vec<u16> = rest
                .as_chunks::<2>()
                .0
                .iter()
                .map(|pair| u16::from_le_bytes(*pair))
                .collect();
            String::from_utf16_lossy(&units)
        }
        None => String::from_utf8_lossy(bytes).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setups_log_is_that_of_its_packages_too_and_goes_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(of_setup(folder.path(), "setup").is_err(), "none yet");
        fs::write(at("setup.log"), "Burn\nExit code: 0x80070643\n").unwrap();
        let mut wide = vec![0xff, 0xfe];
        wide.extend(
            "Error 1920. Dienst h\u{e4}lt\r\n"
                .encode_utf16()
                .flat_map(u16::to_le_bytes),
        );
        fs::write(at("setup_000_Package.log"), wide).unwrap();
        fs::write(at("other.log"), "not mine").unwrap();
        let lines = of_setup(folder.path(), "setup").unwrap();
        let wanted = [
            "Error 1920. Dienst h\u{e4}lt",
            "Burn",
            "Exit code: 0x80070643",
        ];
        assert_eq!(lines, wanted);
        clear(folder.path(), "setup").unwrap();
        assert!(of_setup(folder.path(), "setup").is_err());
        assert!(at("other.log").exists());
    }

    #[test]
    fn a_folder_without_a_trace_is_no_clean_trace() {
        let folder = tempfile::tempdir().unwrap();
        assert!(newest(folder.path()).is_err());
        fs::write(folder.path().join("one.log"), "a line").unwrap();
        assert_eq!(newest(folder.path()).unwrap(), ["a line"]);
    }

    /// What stood in a trace before the step is of other work, in whichever file it stands; what was written since is read, in either encoding.
    #[test]
    fn what_was_written_before_is_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let traces = folder.path().join("Trace");
        let none = ends(&traces, "").unwrap();
        assert!(none.files.is_empty(), "the agent was never registered");
        assert_eq!(after(&traces, "", &none).unwrap(), [""; 0]);
        fs::create_dir(&traces).unwrap();
        let at = |name: &str| traces.join(name);
        let wide =
            |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        let append = |name: &str, bytes: &[u8], minutes: u64| {
            use io::Write as _;
            let mut file = fs::File::options()
                .create(true)
                .append(true)
                .open(at(name))
                .unwrap();
            file.write_all(bytes).unwrap();
            let written = SystemTime::UNIX_EPOCH + Duration::from_secs(minutes * 60);
            file.set_modified(written).unwrap();
        };
        append("service.log", b"an old error\n", 1);
        append("wizard.log", &[MARK, &wide("an older error\n")].concat(), 2);
        let before = ends(&traces, "").unwrap();
        assert_eq!(after(&traces, "", &before).unwrap(), [""; 0]);
        append("wizard.log", &wide("Dienst h\u{e4}lt\n"), 3);
        append("service.log", b"it starts\n", 4);
        append("cmdlets.log", b"a new file\n", 5);
        append("other.txt", b"", 6);
        assert_eq!(
            after(&traces, "", &before).unwrap(),
            ["Dienst h\u{e4}lt", "it starts", "a new file"]
        );
        assert_eq!(after(&traces, "cmd", &before).unwrap(), ["a new file"]);
        // From before anybody registered: all of it.
        assert_eq!(after(&traces, "", &none).unwrap().len(), 5);
        // It was begun anew.
        fs::write(at("service.log"), "anew\n").unwrap();
        let lines = after(&traces, "ser", &before).unwrap();
        assert_eq!(lines, ["anew"]);
        // The newest lines alone, of all files together.
        append("cmdlets.log", "x\n".repeat(LINES).as_bytes(), 5);
        assert_eq!(after(&traces, "", &before).unwrap().len(), LINES);
    }

    #[test]
    fn the_wizards_newest_trace_counts_and_not_one_of_other_work() {
        let folder = tempfile::tempdir().unwrap();
        let day = Duration::from_secs(24 * 60 * 60);
        let newest = || newest_of(folder.path(), "trace-", day);
        fs::write(
            folder.path().join("Applied-SynchronizationPolicy-1.JSON"),
            "{}",
        )
        .unwrap();
        assert!(newest().is_err(), "no trace is there");
        let write = |name: &str, text: &str, hours: u64| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            let written = SystemTime::now() - Duration::from_secs(hours * 3600);
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(written).unwrap();
        };
        write("trace-1.log", "old", 30);
        assert!(newest().unwrap_err().to_string().contains("30 hours ago"));
        write("trace-2.log", "new", 2);
        assert_eq!(newest().unwrap(), ["new"]);
    }
}
