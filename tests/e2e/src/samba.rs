//! A real Active Directory domain on this machine: Samba as its domain controller. Its ports are fixed and low, so a story
//! that uses it runs in namespaces of its own (`tests/run directory`, `tests/run wine`).

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::{text, until};

/// DNS name of the domain.
pub const DOMAIN: &str = "corp.contoso.test";

/// Its one domain controller.
pub const CONTROLLER: &str = "dc1.corp.contoso.test";

/// The domain's administrator, and a password that is nobody's.
pub const ADMINISTRATOR: (&str, &str) = ("administrator@corp.contoso.test", "Passw0rd!x");

const CONTEXT: &str = "DC=corp,DC=contoso,DC=test";

/// A running domain controller.
#[derive(Debug)]
pub struct Samba {
    folder: PathBuf,
    process: Child,
}

impl Drop for Samba {
    fn drop(&mut self) {
        // Its children are in its process group.
        let group = format!("-{}", self.process.id());
        drop(Command::new("kill").args(["-9", "--", &group]).status());
        drop(self.process.wait());
    }
}

fn must(output: std::io::Result<Output>, what: &str) -> Output {
    let output = output.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(output.status.success(), "{what}: {}", text(&output));
    output
}

impl Samba {
    /// Provisions a domain below `folder` and starts its controller.
    ///
    /// # Panics
    /// When Samba is not installed, or a port is taken.
    #[must_use]
    pub fn start(folder: &Path) -> Self {
        use std::os::unix::process::CommandExt as _;
        let folder = folder.join("samba");
        std::fs::create_dir_all(&folder).expect("a folder");
        let provision = Command::new("samba-tool")
            .args(["domain", "provision", "--realm=CORP.CONTOSO.TEST"])
            .args([
                "--domain=CORP",
                "--server-role=dc",
                "--dns-backend=SAMBA_INTERNAL",
            ])
            .args(["--host-name=dc1", "--host-ip=127.0.0.1"])
            .arg("--function-level=2008_R2")
            .args([
                "--option=interfaces=lo",
                "--option=bind interfaces only=yes",
            ])
            // The password is the suite's own and opens this domain alone.
            .arg(format!("--adminpass={}", ADMINISTRATOR.1))
            .arg(format!("--targetdir={}", folder.display()))
            .output();
        must(provision, "samba-tool");
        certificate(&folder);
        let log = std::fs::File::create(folder.join("samba.log")).expect("a log");
        let configuration = folder.join("etc/smb.conf");
        let given = std::fs::read_to_string(&configuration).expect("a configuration");
        let tls = format!(
            "[global]\n\ttls certfile = {0}/leaf.pem\n\ttls keyfile = {0}/leaf.key\n\ttls cafile = {0}/ca.pem\n",
            folder.display()
        );
        std::fs::write(&configuration, given.replacen("[global]\n", &tls, 1)).expect("it is kept");
        let process = Command::new("samba")
            .args(["-i", "-M", "single", "--debug-stdout", "-s"])
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a handle"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("samba starts");
        let samba = Self { folder, process };
        until("the domain controller answers", || {
            let asked = Command::new("ldapsearch")
                .args([
                    "-x",
                    "-H",
                    "ldap://127.0.0.1",
                    "-s",
                    "base",
                    "-b",
                    "",
                    "dnsHostName",
                ])
                .output();
            asked
                .is_ok_and(|asked| asked.status.success())
                .then_some(())
        });
        samba
    }

    /// The authority of the controller's certificate, as PEM.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Changes the directory by LDIF, as its administrator.
    ///
    /// # Panics
    /// When the directory refuses.
    pub fn change(&self, ldif: &str) {
        let path = self.folder.join("change.ldif");
        std::fs::write(&path, ldif).expect("a file");
        let database = self.folder.join("private/sam.ldb");
        let changed = Command::new("ldbmodify")
            .arg("-H")
            .arg(format!("tdb://{}", database.display()))
            .arg(&path)
            .output();
        must(changed, "ldbmodify");
    }

    /// Makes a computer account and a gMSA, whose password these accounts may retrieve; AES for both.
    ///
    /// # Panics
    /// When the directory refuses.
    pub fn gmsa(&self, name: &str, computers: &[&str], readers: &[&str]) {
        for computer in computers {
            let made = Command::new("samba-tool")
                .args(["computer", "create", computer, "-H"])
                .arg(self.folder.join("private/sam.ldb"))
                .arg("-s")
                .arg(self.folder.join("etc/smb.conf"))
                .output();
            must(made, "samba-tool computer");
            self.change(&format!(
                "dn: CN={computer},CN=Computers,{CONTEXT}\nchangetype: modify\nreplace: msDS-SupportedEncryptionTypes\nmsDS-SupportedEncryptionTypes: 28\n"
            ));
        }
        let allowed: String = readers
            .iter()
            .map(|reader| format!("(A;;0xf01ff;;;{})", self.sid(reader)))
            .collect();
        // The directory takes a security descriptor in its own text form, and keeps its bytes.
        self.change(&format!(
            "dn: CN={name},CN=Managed Service Accounts,{CONTEXT}\nchangetype: add\nobjectClass: msDS-GroupManagedServiceAccount\nsAMAccountName: {name}$\ndNSHostName: {name}.{DOMAIN}\nmsDS-ManagedPasswordInterval: 30\nmsDS-SupportedEncryptionTypes: 24\nmsDS-GroupMSAMembership: O:SYD:{allowed}\n"
        ));
    }

    /// Makes a KDS root key that begins then, in hundreds of nanoseconds since 1601; this controller makes none by itself. Its
    /// own bytes are zeros: no password follows from it here.
    ///
    /// # Panics
    /// When the directory refuses.
    pub fn root_key(&self, name: &str, starts: u64) {
        let service = "CN=Group Key Distribution Service,CN=Services,CN=Configuration";
        let keys = format!("CN=Master Root Keys,{service},{CONTEXT}");
        self.change(&format!(
            "dn: CN={name},{keys}\nchangetype: add\nobjectClass: msKds-ProvRootKey\nmsKds-Version: 1\nmsKds-CreateTime: {starts}\nmsKds-UseStartTime: {starts}\nmsKds-DomainID: CN=DC1,OU=Domain Controllers,{CONTEXT}\nmsKds-KDFAlgorithmID: SP800_108_CTR_HMAC\nmsKds-SecretAgreementAlgorithmID: DH\nmsKds-PrivateKeyLength: 512\nmsKds-PublicKeyLength: 2048\nmsKds-RootKeyData:: {}\n",
            "A".repeat(86) + "=="
        ));
    }

    /// Makes the place in which KDS root keys lie.
    ///
    /// # Panics
    /// When the directory refuses.
    pub fn root_keys(&self) {
        let service =
            format!("CN=Group Key Distribution Service,CN=Services,CN=Configuration,{CONTEXT}");
        for container in [service.clone(), format!("CN=Master Root Keys,{service}")] {
            self.change(&format!(
                "dn: {container}\nchangetype: add\nobjectClass: container\n"
            ));
        }
    }

    /// Switches the recycle bin of the forest on.
    ///
    /// # Panics
    /// When the directory refuses.
    pub fn recycle_bin(&self) {
        self.change(&format!(
            "dn:\nchangetype: modify\nadd: enableOptionalFeature\nenableOptionalFeature: CN=Partitions,CN=Configuration,{CONTEXT}:766ddcd8-acd0-445e-f3b9-a7f9b6744f2a\n"
        ));
    }

    /// Adds an entry, in the text form of security descriptors, to who may do what with the domain itself.
    ///
    /// # Panics
    /// When the directory refuses.
    pub fn grant(&self, entry: &str) {
        let set = Command::new("samba-tool")
            .args(["dsacl", "set", "--objectdn", CONTEXT, "--sddl", entry, "-H"])
            .arg(self.folder.join("private/sam.ldb"))
            .arg("-s")
            .arg(self.folder.join("etc/smb.conf"))
            .output();
        must(set, "samba-tool dsacl");
    }

    /// Makes a group with one member, a server or a gMSA.
    ///
    /// # Panics
    /// When the directory refuses.
    pub fn group(&self, name: &str, member: &str) {
        let member = format!("CN={member},CN=Managed Service Accounts,{CONTEXT}");
        self.change(&format!(
            "dn: CN={name},CN=Users,{CONTEXT}\nchangetype: add\nobjectClass: group\nsAMAccountName: {name}\nmember: {member}\n"
        ));
    }

    /// Makes a user with a password, a member of these groups.
    ///
    /// # Panics
    /// When the directory refuses.
    pub fn user(&self, name: &str, password: &str, groups: &[&str]) {
        let database = self.folder.join("private/sam.ldb");
        let tool = |arguments: &[&str]| {
            let done = Command::new("samba-tool")
                .args(arguments)
                .arg("-H")
                .arg(&database)
                .arg("-s")
                .arg(self.folder.join("etc/smb.conf"))
                .output();
            must(done, "samba-tool");
        };
        // The suite's own passwords, which open this domain alone.
        tool(&["user", "create", name, password]);
        for group in groups {
            tool(&["group", "addmembers", group, name]);
        }
    }

    /// The identifier of a server or a gMSA, whose account ends in `$`.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn sid(&self, account: &str) -> String {
        self.sid_of(&format!("{account}$"))
    }

    /// The identifier of an account.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn sid_of(&self, account: &str) -> String {
        let found = Command::new("ldbsearch")
            .arg("-H")
            .arg(self.folder.join("private/sam.ldb"))
            .arg(format!("(sAMAccountName={account})"))
            .arg("objectSid")
            .output();
        let found = text(&must(found, "ldbsearch"));
        let line = found
            .lines()
            .find_map(|line| line.strip_prefix("objectSid: "));
        line.expect("an account has an identifier").to_owned()
    }

    /// What the schema or the extended rights of the forest name something by in access lists: an attribute or a class by the name
    /// under which LDAP knows it, a right by its own.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn guid(&self, name: &str) -> String {
        // The schema is a naming context of its own.
        let found = Command::new("ldbsearch")
            .arg("--cross-ncs")
            .arg("-H")
            .arg(self.folder.join("private/sam.ldb"))
            .arg("-b")
            .arg(format!("CN=Configuration,{CONTEXT}"))
            .arg(format!(
                "(|(lDAPDisplayName={name})(&(objectClass=controlAccessRight)(cn={name})))"
            ))
            .args(["schemaIDGUID", "rightsGuid"])
            .output();
        let found = text(&must(found, "ldbsearch"));
        let line = found.lines().find_map(|line| {
            let schema = line.strip_prefix("schemaIDGUID: ");
            schema.or_else(|| line.strip_prefix("rightsGuid: "))
        });
        let line = line.unwrap_or_else(|| panic!("{name} has no GUID: {found}"));
        line.to_lowercase()
    }

    /// What the controller wrote, for when a story fails.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("samba.log")).unwrap_or_default()
    }
}

/// An authority, and the controller's certificate under it: Samba's own names no host as clients want it.
fn certificate(folder: &Path) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut parameters = rcgen::CertificateParams::default();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let name = &mut parameters.distinguished_name;
    name.push(rcgen::DnType::CommonName, "Entrain tests: directory");
    let authority = rcgen::CertifiedIssuer::self_signed(parameters, key).expect("an authority");
    let leaf_key = rcgen::KeyPair::generate().expect("a key");
    let leaf = rcgen::CertificateParams::new(vec![CONTROLLER.to_owned()])
        .and_then(|leaf| leaf.signed_by(&leaf_key, &authority))
        .expect("a certificate");
    for (name, text) in [
        ("ca.pem", authority.pem()),
        ("leaf.pem", leaf.pem()),
        ("leaf.key", leaf_key.serialize_pem()),
    ] {
        std::fs::write(folder.join(name), text).expect("a file");
    }
    // Samba refuses a key that others may read.
    use std::os::unix::fs::PermissionsExt as _;
    let owner_only = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(folder.join("leaf.key"), owner_only).expect("it is guarded");
}
