//! The driver's tests: leave by both clocks, what is stored before it is said, and what sessions are told.

mod said;

use super::*;
use crate::authority;
use crate::disk::Disk;
use controller_core::record::Record;
use protocol::Epoch;

/// A process that stands, or whose machine does, counts by its own clock as if nothing had been meanwhile.
#[test]
fn leave_is_counted_from_when_it_was_given_by_whichever_clock_says_more() {
    let (begun, given) = (Instant::now(), crate::now());
    let leave = ControlDown::PermitGiven {
        generation: protocol::Generation(1),
        step: protocol::StepIndex(0),
        attempt: protocol::Attempt(1),
        lapses_millis: 120_000,
        after: None,
    };
    let lasts = |now: Timestamp| {
        let said = once_stored(leave.clone(), took((begun, given), now));
        let ControlDown::PermitGiven { lapses_millis, .. } = said else {
            panic!("it is leave");
        };
        lapses_millis
    };
    let minute = Duration::from_secs(60);
    assert_eq!(lasts(given.plus(minute)), 60_000);
    assert_eq!(lasts(given.plus(minute * 3)), 0);
    assert!(lasts(given) > 60_000);
    assert!(lasts(given.minus(minute)) > 60_000, "it was set back");
}

/// What is decided and not stored yet is nobody's to see: the commit may fail.
#[tokio::test]
async fn who_looks_sees_what_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let state = authority::initialized(folder.path());
    let log = state.join("log.sqlite");
    let (store, _) = Store::open(&log, Some(Epoch(1)), crate::now(), Disk::InPlace).unwrap();
    let records = store.records().await.unwrap();
    let (hub, driving) = start(
        store,
        records,
        Arc::new(Authority::open(&state).unwrap()),
        Arc::new(Registry::default()),
        Arc::new(Versions::built_in()),
    )
    .await
    .unwrap();
    let refuses = rusqlite::Connection::open(&log).unwrap();
    let trigger = "CREATE TRIGGER full BEFORE INSERT ON log BEGIN SELECT RAISE(ABORT, 'full'); END";
    refuses.execute(trigger, []).unwrap();
    let story = async {
        for (epoch, is_stored) in [(7, false), (8, true)] {
            if is_stored {
                refuses.execute("DROP TRIGGER full", []).unwrap();
            }
            let begins = hub.act(move |core, batch, answer| {
                let epoch = Epoch(epoch);
                core.record(batch, Record::Begun { epoch });
                batch.then(move |stored| {
                    answer.send(stored.is_ok()).ok();
                });
            });
            let looks = hub.read(|core, _| core.epoch);
            // Both are in the queue before the driver turns to it.
            let (stored, seen) = tokio::join!(begins, looks);
            assert_eq!(stored, Ok(is_stored));
            assert_eq!(seen, Ok(Epoch(if is_stored { epoch } else { 1 })));
        }
    };
    tokio::select! {
        biased;
        () = story => {}
        () = driving => panic!("the driver ended"),
    }
}
