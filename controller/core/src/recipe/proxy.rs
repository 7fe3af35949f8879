//! The proxy that Connect's engine is to go through: machine.config of the .NET Framework names it, which the server's owner writes
//! (product facts 2.8 [P]). Entrain sets nothing of it, since no `may_fix` lists it; it reads what is there (PF30 to PF32).

use protocol::task::{Page, TaskText};

use crate::topology::{ConnectEntry, ConnectProxy};

const FILE: &str = r"C:\Windows\Microsoft.NET\Framework64\v4.0.30319\Config\machine.config";

/// What a plan says of it; nothing where none is planned.
pub(super) fn planned(entry: &ConnectEntry) -> Option<String> {
    let proxy = entry.proxy.as_ref()?;
    let signs_in = if proxy.signs_in {
        ", and lets its service sign in there (useDefaultCredentials) as a domain account (another account warns)"
    } else {
        ""
    };
    Some(format!(
        "its engine goes through the proxy {}: the server's owner writes that into machine.config before the wizard{signs_in}; the preflight stops the server while another one, or none, stands there (PF31), and warns where that cannot be read; the proxy closes no idle connection before 6 minutes",
        proxy.address
    ))
}

/// Puts what the server's owner writes before the pages of the wizard.
pub(super) fn page_into(entry: &ConnectEntry, text: &mut TaskText) {
    if let Some(proxy) = &entry.proxy {
        text.pages.insert(0, page(proxy));
    }
}

fn page(proxy: &ConnectProxy) -> Page {
    let mut lines = vec![
        format!("the server's owner has written into {FILE}, below <configuration>:"),
        format!(
            "<system.net><defaultProxy enabled=\"true\" useDefaultCredentials=\"true\"><proxy usesystemdefault=\"true\" proxyaddress=\"{}\" bypassonlocal=\"true\" /></defaultProxy></system.net>",
            proxy.address
        ),
        "where ADSync is there already, it is restarted after the change".to_owned(),
        "whoever runs the proxy lets a connection be idle for 6 minutes at least".to_owned(),
    ];
    if proxy.signs_in {
        lines.push(
            "the proxy demands a sign-in: the service of the engine runs as a domain account, which is chosen at the first installation and stays".to_owned(),
        );
    }
    Page {
        title: "Before: the proxy".to_owned(),
        lines,
    }
}
