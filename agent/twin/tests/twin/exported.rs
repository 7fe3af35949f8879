//! The newest settings that Connect's wizard has exported are told beside what the engine says: by their digest and what they say.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use agent_twin::Fault;
use protocol::event::Event;
use protocol::exported::ExportedSettings;
use protocol::signed::Ending;
use protocol::step::Step;

use crate::common::drive;
use crate::switch::server;

fn read(staging: bool, faults: &[Fault]) -> (ExportedSettings, String) {
    let mut one = server(staging, faults);
    let (conclusion, journal, _) = drive(vec![Step::ReadConnectSettings], &mut one, None);
    assert_eq!(conclusion.ending, Ending::Completed, "{faults:?}");
    assert!(one.changes.is_empty(), "{:?}", one.changes);
    let export = journal.iter().find_map(|event| match event {
        Event::ConnectExportRead { export, .. } => Some((**export).clone()),
        _ => None,
    });
    (
        export.expect("an export was told"),
        conclusion.steps[0].summary.clone(),
    )
}

#[test]
fn an_export_is_told_with_its_digest_and_size_and_without_what_may_be_a_secret() {
    let (export, summary) = read(false, &[]);
    assert_eq!(export.file, "Applied-SynchronizationPolicy-1.JSON");
    for words in [format!("{} bytes", export.bytes), export.sha256.to_string()] {
        assert!(summary.contains(&words), "{summary}");
    }
    let rows: Vec<String> = export
        .rows
        .iter()
        .map(|row| format!("{} = {}", row.path, row.value))
        .collect();
    let unit = "OU=People,DC=corp,DC=contoso,DC=com";
    assert!(
        rows.contains(&format!("connectors[corp].units[{unit}] = {unit}")),
        "{rows:?}"
    );
    assert!(
        rows.contains(&"connectors[corp].password = withheld".to_owned()),
        "{rows:?}"
    );
    let said = serde_json::to_string(&export).expect("it serializes");
    assert!(!said.contains("model"), "{said}");
    let (other, _) = read(true, &[Fault::SettingsDiffer]);
    assert_ne!(export.says, other.says);
}

#[test]
fn what_is_no_document_is_told_by_its_digest_alone_and_stops_nothing() {
    let (export, summary) = read(true, &[Fault::SettingsUnreadable]);
    assert!(export.rows.is_empty());
    assert!(export.unread.is_some(), "{export:?}");
    assert!(summary.contains("not compared: it is no JSON"), "{summary}");
}
