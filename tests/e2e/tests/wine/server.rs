//! A Windows server under Wine: its programs, its registry, its services, and what listens beside it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use e2e::{text, until_within};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};

pub(crate) struct Wine {
    prefix: PathBuf,
    pub(crate) programs: PathBuf,
    /// Wine ends its services with its last program; this one waits for input that never comes.
    keeper: Option<std::process::Child>,
}

impl Drop for Wine {
    fn drop(&mut self) {
        if let Some(keeper) = &mut self.keeper {
            drop(keeper.kill());
            drop(keeper.wait());
        }
        drop(self.command("wineserver").arg("-k").status());
    }
}

impl Wine {
    pub(crate) fn new(folder: &Path) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .unwrap();
        let programs = root.join("target/windows/x86_64-pc-windows-gnu/release");
        assert!(
            programs.join("entrain-agent.exe").exists(),
            "`tests/run wine` builds the Windows programs"
        );
        let mut wine = Self {
            prefix: folder.join("wine"),
            programs,
            keeper: None,
        };
        must(wine.run(&["wineboot", "-i"]), "wineboot");
        // A session that begins while the first one still ends gets services that wait for each other.
        must(
            wine.command("wineserver").arg("-w").output().unwrap(),
            "the end of wineboot",
        );
        let mut keeper = wine.command("wine");
        keeper
            .arg("cmd")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        wine.keeper = Some(keeper.spawn().unwrap());
        wine
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("WINEPREFIX", &self.prefix)
            .env("WINEDEBUG", "-all")
            .env("DISPLAY", "")
            .stdin(Stdio::null());
        command
    }

    /// Runs a Windows program. What it prints goes through a file: services that it starts inherit its handles, and a
    /// pipe would not end before they do.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "")
    }

    /// The same, with a line on its standard input.
    pub(crate) fn run_with(&self, arguments: &[&str], line: &str) -> Output {
        let input = self.prefix.with_extension("in");
        std::fs::write(&input, format!("{line}\n")).unwrap();
        let path = self.prefix.with_extension("out");
        let file = std::fs::File::create(&path).unwrap();
        let (out, error) = (Stdio::from(file.try_clone().unwrap()), Stdio::from(file));
        let status = self
            .command("wine")
            .args(arguments)
            .stdin(std::fs::File::open(&input).unwrap())
            .stdout(out)
            .stderr(error)
            .status()
            .unwrap();
        Output {
            status,
            stdout: std::fs::read(&path).unwrap(),
            stderr: Vec::new(),
        }
    }

    /// Ids of this prefix's processes that run the program, as Linux sees them.
    pub(crate) fn processes(&self, program: &str) -> Vec<String> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let holds = |file: &str, text: &str| {
                std::fs::read(entry.path().join(file)).is_ok_and(|bytes| {
                    bytes
                        .windows(text.len())
                        .any(|window| window == text.as_bytes())
                })
            };
            if holds("cmdline", program) && holds("environ", self.prefix.to_str().unwrap()) {
                found.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        found
    }

    pub(crate) fn drive(&self, path: &str) -> PathBuf {
        self.prefix.join("drive_c").join(path)
    }

    pub(crate) fn put(&self, program: &str, path: &str) {
        let to = self.drive(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::remove_file(&to).ok();
        std::fs::copy(self.programs.join(program), to).unwrap();
    }

    /// Waits until Wine's service manager starts services: while it starts its own, it refuses with 1055.
    pub(crate) fn services_start(&self) {
        self.put("standin-service.exe", "ready.exe");
        must(
            self.run(&["sc", "create", "Ready", "binPath=", r"C:\ready.exe"]),
            "Ready",
        );
        until_within(Duration::from_secs(60), "services start", || {
            self.run(&["sc", "start", "Ready"])
                .status
                .success()
                .then_some(())
        });
    }

    /// The names in Windows' list of programs, of both views, that hold such a word, in order; each as often as it is listed.
    pub(crate) fn listed(&self, word: &str) -> Vec<String> {
        let mut names = Vec::new();
        for view in ["", r"WOW6432Node\"] {
            let key = format!(r"HKLM\SOFTWARE\{view}Microsoft\Windows\CurrentVersion\Uninstall");
            let said = text(&self.run(&["reg", "query", &key, "/s", "/v", "DisplayName"]));
            let rows = said
                .lines()
                .filter_map(|line| line.trim().strip_prefix("DisplayName"));
            let name = |row: &str| row.trim().strip_prefix("REG_SZ")?.trim().to_owned().into();
            names.extend(
                rows.filter_map(name)
                    .filter(|name: &String| name.contains(word)),
            );
        }
        names.sort();
        names
    }

    pub(crate) fn registry(&self, key: &str, value: &str, kind: &str, data: &str) {
        let key = format!("HKLM\\{key}");
        must(
            self.run(&[
                "reg", "add", &key, "/v", value, "/t", kind, "/d", data, "/f",
            ]),
            &key,
        );
    }
}

pub(crate) fn must(output: Output, what: &str) -> Output {
    assert!(output.status.success(), "{what}: {}", text(&output));
    output
}

/// A server as the product wants it (product facts 1.7).
pub(crate) fn windows_server(wine: &Wine) {
    let version = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion";
    wine.registry(
        version,
        "ProductName",
        "REG_SZ",
        "Windows Server 2022 Standard (Wine)",
    );
    wine.registry(version, "CurrentBuildNumber", "REG_SZ", "20348");
    wine.registry(version, "InstallationType", "REG_SZ", "Server");
    wine.registry(
        r"SYSTEM\CurrentControlSet\Control\ProductOptions",
        "ProductType",
        "REG_SZ",
        "ServerNT",
    );
    wine.registry(
        r"SYSTEM\CurrentControlSet\Services\Tcpip\Parameters",
        "Domain",
        "REG_SZ",
        "corp.contoso.test",
    );
    wine.registry(
        r"SOFTWARE\Microsoft\NET Framework Setup\NDP\v4\Full",
        "Release",
        "REG_DWORD",
        "528449",
    );
    wine.registry(
        r"SOFTWARE\Microsoft\.NETFramework\v4.0.30319",
        "SchUseStrongCrypto",
        "REG_DWORD",
        "1",
    );
    // TLS 1.2 is left as Windows has it: the rollout may fix it.
    must(
        wine.run(&[
            "sc",
            "create",
            "VaultSvc",
            "binPath=",
            r"C:\windows\system32\svchost.exe",
            "start=",
            "demand",
        ]),
        "VaultSvc",
    );
}

/// Listens as the sign-in hosts: shows a certificate of its own, and says no more to anybody.
pub(crate) fn listen(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port))
        .unwrap_or_else(|error| panic!("port {port}: {error}"));
    // The three that a proxy is asked for (PF26, PF29): what each shows must be for it.
    let names = [
        "login.microsoftonline.com",
        "login.windows.net",
        "download.msappproxy.net",
    ];
    let names: Vec<String> = names.map(ToOwned::to_owned).to_vec();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key);
    let config = Arc::new(config.unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let config = Arc::clone(&config);
            std::thread::spawn(move || {
                let mut connection = ServerConnection::new(config).unwrap();
                // Whoever probes the port alone goes away before any handshake.
                if connection.complete_io(&mut stream).is_ok() {
                    drop(stream.read(&mut [0; 1]));
                }
            });
        }
    });
}

/// A proxy as the agent asks one: it leads to a host by a tunnel, or says what a page answers.
pub(crate) fn proxy(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port))
        .unwrap_or_else(|error| panic!("port {port}: {error}"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut head = BufReader::new(stream.try_clone().unwrap()).lines();
                let first = head.next().and_then(Result::ok).unwrap_or_default();
                let rest = head.map_while(Result::ok);
                rest.take_while(|line| !line.is_empty()).for_each(drop);
                let mut words = first.split(' ');
                let (what, host) = (words.next(), words.next().unwrap_or_default());
                let led = (what == Some("CONNECT")).then(|| TcpStream::connect(host));
                let said = match (&led, what) {
                    (Some(Ok(_)), _) => "200",
                    (None, Some("HEAD")) => "204",
                    _ => "502",
                };
                drop(write!(stream, "HTTP/1.1 {said} so\r\n\r\n"));
                if let Some(Ok(host)) = led {
                    tunnel(&stream, &host);
                }
            });
        }
    });
}

/// Hands on what either side says, until both are silent for good.
fn tunnel(own: &TcpStream, host: &TcpStream) {
    let hand_on = |from: &TcpStream, to: &TcpStream| {
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        move || {
            drop(std::io::copy(&mut from, &mut to));
            drop(to.shutdown(Shutdown::Write));
        }
    };
    let back = std::thread::spawn(hand_on(host, own));
    hand_on(own, host)();
    drop(back.join());
}
