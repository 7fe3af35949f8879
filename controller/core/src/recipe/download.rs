//! How a person brings an installer: the vendor gives it to nobody but somebody who has signed in and accepted its terms
//! (product facts 1.1 [R], 2.1 [P]; the article's steps A1 to A5). It ends when the installer is in the artifact store.

use protocol::step::Product;
use protocol::task::{Page, TaskText};

use crate::links;

/// Why nothing is done where the installer is not there.
pub(crate) const fn missing(product: Product) -> &'static str {
    match product {
        Product::ProvisioningAgent => "no setup of the provisioning agent is in the artifact store",
        Product::Connect => "no installer of Connect Sync is in the artifact store",
    }
}

/// What a person does, on any workstation, to bring the installer of a product.
#[must_use]
pub fn task(product: Product) -> TaskText {
    let page = |title: &str, lines: &[&str]| Page {
        title: title.to_owned(),
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
    };
    let sign_in = format!("sign in at the {}", links::ADMIN_CENTER);
    let role = format!("as at least a {}", links::ROLE);
    let cloud = "for a tenant of another cloud: at that cloud's own admin center";
    let mut pages = vec![page("Admin center", &[&sign_in, &role, cloud])];
    let accept = "read the vendor's terms; \"Accept terms & download\"";
    let (name, file) = match product {
        Product::ProvisioningAgent => {
            pages.extend([
                page(
                    "Cloud sync",
                    &[
                        "Entra ID > Entra Connect > Cloud sync",
                        "in an older menu: Identity > Hybrid management > Microsoft Entra Connect > Cloud Sync",
                    ],
                ),
                page("Agents", &["on the left: Agents"]),
                page(
                    "Download",
                    &["\"Download on-premises agent\"", accept],
                ),
            ]);
            (
                "the setup of the provisioning agent",
                "AADConnectProvisioningAgentSetup.exe",
            )
        }
        Product::Connect => {
            pages.extend([
                page(
                    "Connect Sync",
                    &["Entra ID > Entra Connect > Get started > Manage"],
                ),
                page("Download", &["the Connect Sync agent", accept]),
            ]);
            ("the installer of Connect Sync", "AzureADConnect.msi")
        }
    };
    let add = format!("entrain artifact add {file} --accept-terms --source \"Entra admin center\"");
    pages.push(page(
        "Artifact store",
        &[
            "bring the file to the controller; its name does not matter",
            &add,
        ],
    ));
    TaskText {
        title: format!("bring {name}"),
        why: "the vendor gives it to a person who has signed in and accepted its terms".to_owned(),
        bring: vec!["a Hybrid Identity Administrator of any tenant".to_owned()],
        pages,
        seen_by: "the artifact store: signature, product and version are read out of the file"
            .to_owned(),
    }
}
