//! Takes out of a line of a log what is nobody else's business, before the line leaves the server: people's names in accounts,
//! addresses, distinguished names and profile folders, and whatever looks like a secret. What is no word of these forms cannot
//! be told from other text, so a line is shown only where a table of known errors asks for it, or where it is the end of a log
//! that nothing else explains.

const WITHHELD: &str = "***";

/// What stands before a name that is no person's: accounts of Windows itself, and the second word of a program's folder.
const AUTHORITIES: [&str; 4] = ["service", "authority", "builtin", "files"];

/// Endings of a file's name, which no account has.
const FILES: [&str; 10] = [
    "config", "dat", "dll", "exe", "json", "log", "msi", "ps1", "txt", "xml",
];

/// Length from which a word without a break is taken for a token or key.
const TOKEN: usize = 64;

/// The line without them.
#[must_use]
pub fn names(line: &str) -> String {
    let line = distinguished(line);
    let mut out = String::with_capacity(line.len());
    let mut word = String::new();
    let mut secret = false;
    for sign in line.chars() {
        if sign.is_whitespace() || "\"'`<>()[]{},;|".contains(sign) {
            push(&mut out, &word, &mut secret);
            word.clear();
            out.push(sign);
        } else {
            word.push(sign);
        }
    }
    push(&mut out, &word, &mut secret);
    out
}

/// Adds a word as it may be shown. `secret` says that the word before announced a secret.
fn push(out: &mut String, word: &str, secret: &mut bool) {
    if word.is_empty() {
        return;
    }
    let lower = word.to_lowercase();
    // An assembly's name has the token of its public key.
    let announces = |text: &str| {
        let names = ["password", "passwd", "pwd", "secret", "bearer", "token"];
        !text.ends_with("publickeytoken") && names.iter().any(|name| text.ends_with(name))
    };
    if std::mem::take(secret) {
        if word == "=" || word == ":" {
            *secret = true;
            out.push_str(word);
        } else {
            out.push_str(WITHHELD);
        }
        return;
    }
    if let Some(at) = lower.find(['=', ':'])
        && announces(&lower[..at])
    {
        out.push_str(word.get(..=at).unwrap_or_default());
        *secret = word.len() == at + 1;
        if !*secret {
            out.push_str(WITHHELD);
        }
        return;
    }
    *secret = lower == "bearer" || lower == "pwd";
    if let Some((before, domain)) = word.rsplit_once('@') {
        // What stands before the name itself, such as `user=`, is kept.
        let kept = before
            .rfind(['=', ':', '/'])
            .map_or("", |at| &before[..=at]);
        out.push_str(&format!("{kept}{WITHHELD}@{domain}"));
        return;
    }
    let unbroken = |sign: char| sign.is_ascii_alphanumeric() || "-_+/=.".contains(sign);
    let digits = word.chars().any(|sign| sign.is_ascii_digit());
    if word.len() >= TOKEN && digits && word.chars().all(unbroken) {
        out.push_str(WITHHELD);
        return;
    }
    out.push_str(&account(word));
}

/// An account with its domain, and a profile folder. A name that ends with `$` is a computer's or a managed account's.
fn account(word: &str) -> String {
    let mut parts: Vec<&str> = word.split('\\').collect();
    if let Some(at) = parts
        .iter()
        .position(|part| part.eq_ignore_ascii_case("users"))
        && parts.len() > at + 1
        && at > 0
    {
        parts[at + 1] = WITHHELD;
        return parts.join("\\");
    }
    let [domain, name] = parts.as_slice() else {
        return word.to_owned();
    };
    let own = domain.is_empty() || name.is_empty() || domain.ends_with(':');
    let kept = name.trim_end_matches(['.', ':']).ends_with('$');
    let authority = AUTHORITIES
        .iter()
        .any(|one| domain.eq_ignore_ascii_case(one));
    let file = name
        .rsplit_once('.')
        .is_some_and(|(_, end)| FILES.iter().any(|one| end.eq_ignore_ascii_case(one)));
    if own || kept || authority || file {
        return word.to_owned();
    }
    format!("{domain}\\{WITHHELD}")
}

/// `CN=` of a distinguished name, up to the comma that ends it.
fn distinguished(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    // Upper and lower case are as long as each other here: only ASCII is looked for.
    while let Some(at) = rest.to_ascii_lowercase().find("cn=") {
        let (before, from) = rest.split_at(at + 3);
        out.push_str(before);
        let mut end = from.len();
        let mut escaped = false;
        for (place, sign) in from.char_indices() {
            if !escaped && ",\"';<>".contains(sign) {
                end = place;
                break;
            }
            escaped = sign == '\\' && !escaped;
        }
        out.push_str(WITHHELD);
        rest = &from[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_secrets_are_withheld_and_the_rest_is_not() {
        for (line, told) in [
            (
                "user anna.meier@contoso.com failed",
                "user ***@contoso.com failed",
            ),
            ("login=anna@contoso.com", "login=***@contoso.com"),
            (r"CONTOSO\anna may not", r"CONTOSO\*** may not"),
            (r"CONTOSO\anna.meier", r"CONTOSO\***"),
            (r"(CONTOSO\anna)", r"(CONTOSO\***)"),
            (
                "read 'CN=Meier\\, Anna,OU=People,DC=corp,DC=contoso,DC=com'",
                "read 'CN=***,OU=People,DC=corp,DC=contoso,DC=com'",
            ),
            (
                r"C:\Users\anna\AppData\Local\x.log",
                r"C:\Users\***\AppData\Local\x.log",
            ),
            ("password=hunter2; next", "password=***; next"),
            ("Password: hunter2", "Password: ***"),
            ("Authorization: Bearer abc", "Authorization: Bearer ***"),
        ] {
            assert_eq!(names(line), told);
        }
        let token = format!("got eyJ0{}", "aB3_".repeat(20));
        assert_eq!(names(&token), "got ***");
        for kept in [
            r"C:\Program Files\Microsoft Azure AD Sync\Bin\miiserver.exe",
            r"HKLM\SOFTWARE\Microsoft\Ole",
            r"NT SERVICE\ALL SERVICES",
            r"CONTOSO\provAgentgMSA$ logs on",
            r"Bin\miiserver.exe.config",
            "Error 1920. Service 'Microsoft Entra Provisioning Agent' failed to start.",
            "System.IO.FileLoadException: System.Diagnostics.DiagnosticSource, Version=6.0.0.1",
            "the access token was refused",
            "Culture=neutral, PublicKeyToken=cc7b13ffcd2ddd51",
        ] {
            assert_eq!(names(kept), kept);
        }
    }
}
