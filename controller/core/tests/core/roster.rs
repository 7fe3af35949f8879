//! Who becomes a known agent: a token is good once and for its name, and an answer that was lost is given again.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::time::Duration;

use controller_core::record::Record;
use controller_core::roster::{Admission, Roster};
use protocol::key::{PublicKey, SigningKey};
use protocol::{Digest, Epoch, TargetId, Timestamp};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

struct World {
    roster: Roster,
    token: Digest,
    server: TargetId,
    key: PublicKey,
}

impl World {
    /// A roster with one token, for this name or for none.
    fn new(named: bool, uses: u32) -> Self {
        let server: TargetId = "sync-01.corp.contoso.com".parse().unwrap();
        let token = Digest::of(b"token");
        let mut roster = Roster::default();
        let created = Record::TokenCreated {
            token,
            target: named.then(|| server.clone()),
            expires: NOW.plus(Duration::from_secs(60)),
            uses,
            by: "root".to_owned(),
        };
        roster.apply(&created, NOW);
        Self {
            roster,
            token,
            server,
            key: SigningKey::generate().public(),
        }
    }

    fn admit(&self, key: &PublicKey) -> Admission {
        self.roster.admit(&self.server, key, &self.token, NOW)
    }

    fn refusal(&self, key: &PublicKey) -> String {
        match self.admit(key) {
            Admission::Refuse(why) => why,
            other @ (Admission::Enroll { .. } | Admission::Again | Admission::Wait { .. }) => {
                panic!("{other:?}")
            }
        }
    }

    fn enroll(&mut self) {
        let enrolled = Record::AgentEnrolled {
            target: self.server.clone(),
            key: self.key,
            epoch: Epoch(1),
            token: self.token,
            by: "token".to_owned(),
            simulated: false,
        };
        self.roster.apply(&enrolled, NOW);
    }
}

#[test]
fn a_lost_answer_is_given_again_to_the_same_key_alone() {
    let mut world = World::new(true, 1);
    let (key, stranger) = (world.key, SigningKey::generate().public());
    assert!(matches!(world.admit(&key), Admission::Enroll { .. }));
    world.enroll();
    assert_eq!(world.admit(&key), Admission::Again);
    assert!(
        world
            .refusal(&stranger)
            .contains("enrolled with another key")
    );
}

#[test]
fn a_token_is_good_for_its_name_until_it_ends() {
    let world = World::new(true, 1);
    let other = "sync-02.corp.contoso.com".parse().unwrap();
    let asked = world.roster.admit(&other, &world.key, &world.token, NOW);
    assert_eq!(asked, Admission::Wait { new: true });
    let late = NOW.plus(Duration::from_secs(61));
    let asked = world
        .roster
        .admit(&world.server, &world.key, &world.token, late);
    assert!(matches!(asked, Admission::Refuse(why) if why.contains("expired")));
    let unknown = world
        .roster
        .admit(&world.server, &world.key, &Digest::ZERO, NOW);
    assert!(matches!(unknown, Admission::Refuse(why) if why.contains("not known")));
}

#[test]
fn a_freed_name_takes_a_new_key_once_and_a_revoked_key_never_comes_back() {
    let mut world = World::new(true, 2);
    world.enroll();
    let stranger = SigningKey::generate().public();
    let replaced = Record::AgentReplaced {
        target: world.server.clone(),
        by: "root".to_owned(),
    };
    world.roster.apply(&replaced, NOW);
    assert!(matches!(world.admit(&stranger), Admission::Enroll { .. }));
    let old = world.key;
    world.key = stranger;
    world.enroll();
    assert!(world.refusal(&old).contains("revoked"), "the old key ended");
    let revoked = Record::AgentRevoked {
        target: world.server.clone(),
        key: stranger.fingerprint(),
        by: "root".to_owned(),
    };
    world.roster.apply(&revoked, NOW);
    assert!(world.refusal(&stranger).contains("revoked"));
    assert!(world.roster.is_revoked(&stranger.fingerprint()));
}

#[test]
fn without_a_name_on_the_token_an_operator_decides_by_the_key() {
    let mut world = World::new(false, 1);
    let (key, stranger) = (world.key, SigningKey::generate().public());
    assert_eq!(world.admit(&key), Admission::Wait { new: true });
    let asked = Record::JoinAsked {
        target: world.server.clone(),
        key,
        machine: "a server".to_owned(),
        epoch: Epoch(1),
        token: world.token,
        simulated: false,
    };
    world.roster.apply(&asked, NOW);
    assert_eq!(world.admit(&key), Admission::Wait { new: false });
    let joining = world.roster.joining(&world.server).unwrap();
    assert_eq!(
        (joining.key, joining.made_for.as_ref()),
        (key.fingerprint(), None)
    );
    assert!(!joining.sentence().contains("its join file was made for"));
    let approve = |key: &PublicKey| Record::JoinApproved {
        target: "sync-01.corp.contoso.com".parse().unwrap(),
        key: key.fingerprint(),
        by: "root".to_owned(),
    };
    world.roster.apply(&approve(&stranger), NOW);
    assert_eq!(world.admit(&key), Admission::Wait { new: false });
    assert_eq!(world.roster.all_joining().count(), 1);
    world.roster.apply(&approve(&key), NOW);
    assert_eq!(world.roster.all_joining().count(), 0, "it waits no more");
    assert!(matches!(world.admit(&key), Admission::Enroll { by } if by == "root"));
}
