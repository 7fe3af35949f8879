//! What Connect servers' wizards have exported, held against each other: of two servers, or of one before and now.

use axum::Json;
use axum::extract::{Path, State};
use controller_core::exported::{ExportDifference, ExportSeen};
use protocol::TargetId;
use protocol::exported::ExportedSettings;

use crate::driver::Core;
use crate::http::types::ComparedExports;
use crate::http::{Answer, Api, Problem};

fn seen<'a>(core: &'a Core, target: &TargetId) -> Result<&'a ExportSeen, String> {
    let seen = core.fleet.exports().get(target);
    seen.ok_or_else(|| {
        format!(
            "exported settings of {target} were never told here: a swap, an installation that imports, and entrain plan --verify of an entry with `import` have them read, by an agent of this release"
        )
    })
}

fn compared(
    (first, one): (String, &ExportedSettings),
    (second, other): (String, &ExportedSettings),
) -> ComparedExports {
    let difference = ExportDifference::of((&first, one), (&second, other));
    let bare = |export: &ExportedSettings| ExportedSettings {
        rows: Vec::new(),
        ..export.clone()
    };
    ComparedExports {
        read: vec![(first, bare(one)), (second, bare(other))],
        difference,
    }
}

/// The newest exports of two servers.
pub(super) async fn between(
    State(api): State<Api>,
    Path((one, other)): Path<(TargetId, TargetId)>,
) -> Answer<ComparedExports> {
    let found = api.hub.read(move |core, _| {
        let (mine, theirs) = (seen(core, &one)?, seen(core, &other)?);
        Ok(compared(
            (one.to_string(), &mine.export),
            (other.to_string(), &theirs.export),
        ))
    });
    found.await?.map(Json).map_err(Problem::Missing)
}

/// The newest export of one server and the one that it told before.
pub(super) async fn before(
    State(api): State<Api>,
    Path(one): Path<TargetId>,
) -> Answer<ComparedExports> {
    let found = api.hub.read(move |core, _| {
        let seen = seen(core, &one)?;
        let before = seen.before.as_deref().ok_or_else(|| {
            format!(
                "of {one} one export alone was told, {}: there is nothing to hold it against",
                seen.export.file
            )
        })?;
        Ok(compared(
            (format!("{one} before"), before),
            (format!("{one} now"), &seen.export),
        ))
    });
    found.await?.map(Json).map_err(Problem::Missing)
}
