//! Prerequisites that Entrain may set itself: what the topology lists in `may_fix`, with the old value told.

use protocol::facts::ServiceState;
use protocol::step::{Fix, Preflight, Product};

use super::or_absent;
use crate::op::{Op, RegistryValue};
use crate::procedure::{Cx, Flow};
use crate::product;

/// Tells whether a finding is one of those that the topology lets Entrain mend.
pub(super) fn mends(preflight: &Preflight, id: &str) -> bool {
    preflight.may_fix.iter().any(|fix| match fix {
        Fix::Tls12 => matches!(id, "PF15" | "PF16" | "PF17"),
        Fix::Vaultsvc => id == "PF14",
    })
}

/// Sets the prerequisites that the topology allows, where they are not as they must be; gives what was changed, with the
/// old value.
pub(super) fn fix(preflight: &Preflight, cx: &mut Cx<'_>, changed: &mut Vec<String>) -> Flow<()> {
    if preflight.product != Product::ProvisioningAgent {
        return Ok(());
    }
    if preflight.may_fix.contains(&Fix::Tls12) {
        for key in [product::TLS12_CLIENT_KEY, product::TLS12_SERVER_KEY] {
            set(cx, key, "Enabled", 1, changed)?;
            set(cx, key, "DisabledByDefault", 0, changed)?;
        }
        set(
            cx,
            product::DOTNET_CRYPTO_KEY,
            "SchUseStrongCrypto",
            1,
            changed,
        )?;
    }
    if preflight.may_fix.contains(&Fix::Vaultsvc) {
        let disabled = matches!(cx.service(product::VAULT_SERVICE)?, Ok(Some(service)) if service.state == ServiceState::Disabled);
        if disabled {
            let enabled = cx.perform(Op::EnableService {
                name: product::VAULT_SERVICE.to_owned(),
            })?;
            changed.push(match enabled {
                Ok(()) => "VaultSvc set from Disabled to Manual".to_owned(),
                Err(why) => format!("VaultSvc could not be enabled: {why}"),
            });
        }
    }
    Ok(())
}

fn set(
    cx: &mut Cx<'_>,
    key: &str,
    value: &str,
    wanted: u32,
    changed: &mut Vec<String>,
) -> Flow<()> {
    let before = cx.number(key, value)?;
    let right = |now: u32| if wanted == 0 { now == 0 } else { now != 0 };
    if matches!(before, Ok(Some(now)) if right(now)) {
        return Ok(());
    }
    let op = Op::SetRegistry {
        key: key.to_owned(),
        value: value.to_owned(),
        data: RegistryValue::Number(wanted),
    };
    // SCHANNEL reads its values when Windows starts; where nothing was set before, the system's default held already.
    let restart = key != product::DOTNET_CRYPTO_KEY && matches!(before, Ok(Some(_)));
    let old = before.map_or_else(|why| why, |before| or_absent(&before));
    // Noted first: whoever is cut off between the two sees a restart too many, and not one too few.
    if restart && let Err(why) = cx.perform(Op::RequireRestart)? {
        changed.push(format!(
            "{value} was left as it is: that a restart is needed could not be noted: {why}"
        ));
        return Ok(());
    }
    changed.push(match cx.perform(op)? {
        Ok(()) => format!(
            "{value} of {} set to {wanted} (was {old})",
            key.rsplit('\\').next().unwrap_or(key)
        ),
        Err(why) => format!("{value} could not be set: {why}"),
    });
    Ok(())
}
