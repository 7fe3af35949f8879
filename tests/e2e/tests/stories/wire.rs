//! Golden bytes of wire version 1: what a released version sent, later ones must read, and send alike. `UPDATE_GOLDEN=1`
//! writes the file anew, which is lawful only before a version is released.

use protocol::event::{GmsaChange, GmsaObject, Section};
use protocol::wire::close::Close;
use protocol::wire::codec::{decode, encode};
use protocol::wire::latest::*;
use protocol::{Attempt, Digest, Epoch, EventIndex, Generation, RolloutId, StepIndex};
use serde::Serialize;
use serde::de::DeserializeOwned;

struct Golden {
    expected: Vec<(String, String)>,
    seen: Vec<(String, String)>,
}

impl Golden {
    fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
        &mut self,
        name: &str,
        message: &T,
    ) {
        let bytes = encode(message).expect("it encodes");
        assert_eq!(&decode::<T>(&bytes).expect("it decodes"), message, "{name}");
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.seen.push((name.to_owned(), hex.clone()));
        if let Some((_, expected)) = self.expected.iter().find(|(known, _)| known == name) {
            assert_eq!(&hex, expected, "the bytes of {name} have changed");
            let old: Vec<u8> = expected
                .as_bytes()
                .as_chunks::<2>()
                .0
                .iter()
                .map(|pair| {
                    u8::from_str_radix(std::str::from_utf8(pair).expect("hex"), 16).expect("hex")
                })
                .collect();
            assert_eq!(&decode::<T>(&old).expect("it decodes"), message, "{name}");
        } else if std::env::var_os("UPDATE_GOLDEN").is_none() {
            panic!("{name} has no golden bytes");
        }
    }
}

#[test]
fn every_message_of_version_1_has_the_bytes_that_it_had() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wire-v1.txt");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let expected = text
        .lines()
        .filter_map(|line| {
            line.split_once(' ')
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
        })
        .collect();
    let mut golden = Golden {
        expected,
        seen: Vec::new(),
    };
    let target: protocol::TargetId = "sync-01.corp.contoso.com".parse().expect("a name");
    let head = Head {
        epoch: Epoch(7),
        index: EventIndex(300),
        chain: Digest::of(b"chain"),
    };
    let (generation, step, attempt, rollout) =
        (Generation(9), StepIndex(2), Attempt(1), RolloutId(4));
    let gmsa = Some(GmsaObject {
        domain: "corp.contoso.com".parse().expect("a name"),
        name: "svc$".parse().ok(),
    });
    let section = Section { outage: true, gmsa };
    let hello = Hello {
        target: target.clone(),
        agent_version: "0.1.0".to_owned(),
        simulated: true,
        head,
        generation,
        root_version: 1,
    };
    let issued = Issued {
        chain: vec![vec![1, 2, 3]],
        renew_after_millis: 1,
        expires_millis: 2,
    };
    golden.check("opening-control", &Opening::Control(hello));
    golden.check("opening-events", &Opening::Events);
    golden.check(
        "opening-artifact",
        &Opening::Artifact(ArtifactAsk {
            sha256: Digest::of(b"a"),
            part: ArtifactPart::From(3),
        }),
    );
    golden.check(
        "opening-chunks",
        &Opening::Artifact(ArtifactAsk {
            sha256: Digest::of(b"a"),
            part: ArtifactPart::Chunks,
        }),
    );
    golden.check("opening-secret", &Opening::Secret { ask: vec![1, 2] });
    golden.check(
        "welcome",
        &ControlDown::Welcome(Welcome {
            controller_epoch: Epoch(5),
            stored: head,
            now_millis: 1_790_000_000_000,
        }),
    );
    golden.check(
        "permit",
        &ControlDown::PermitGiven {
            generation,
            step,
            attempt,
            lapses_millis: 120_000,
            after: None,
        },
    );
    golden.check(
        "permit-after-a-change",
        &ControlDown::PermitGiven {
            generation,
            step,
            attempt,
            lapses_millis: 120_000,
            after: Some(GmsaChange {
                by: "sync-02.corp.contoso.com".parse().expect("a name"),
                name: Some("provAgentgMSA$".parse().expect("a name")),
                readers: Some(vec!["S-1-5-21-1-2-3-1105".to_owned()]),
            }),
        },
    );
    golden.check(
        "artifact-refused",
        &ArtifactAnswer::Refused("gone".to_owned()),
    );
    golden.check("secret-refused", &SecretAnswer::Refused("no".to_owned()));
    golden.check("enroll-refused", &EnrollAnswer::Refused("no".to_owned()));
    golden.check("pause", &ControlDown::Pause { rollout });
    golden.check("resume", &ControlDown::Resume { rollout });
    golden.check("abort", &ControlDown::Abort { generation });
    golden.check(
        "attested",
        &ControlDown::Attested {
            generation,
            step,
            by: "anna".to_owned(),
        },
    );
    golden.check("certificate", &ControlDown::Certificate(issued.clone()));
    golden.check("root", &ControlDown::Root { envelope: vec![9] });
    golden.check(
        "permit-asked",
        &ControlUp::PermitAsked {
            generation,
            step,
            attempt,
            section,
        },
    );
    golden.check(
        "renewal-asked",
        &ControlUp::RenewalAsked { request: vec![8] },
    );
    golden.check(
        "offer",
        &BundleOffer {
            envelope: vec![7; 3],
        },
    );
    golden.check("accepted", &BundleAnswer::Accepted);
    golden.check("refused", &BundleAnswer::Refused("no".to_owned()));
    let entry = Entry {
        kind: 14,
        at_millis: 1_790_000_000_000,
        body: b"{}".to_vec(),
    };
    golden.check(
        "entries",
        &EventsUp::Entries {
            epoch: Epoch(7),
            first: EventIndex(1),
            entries: vec![entry],
        },
    );
    golden.check("pulse", &EventsUp::Pulse { serving: true });
    golden.check(
        "progress",
        &EventsUp::Progress {
            generation,
            step,
            percent: Some(50),
            text: "half".to_owned(),
        },
    );
    golden.check(
        "acknowledged",
        &EventsDown::Acknowledged {
            index: EventIndex(300),
        },
    );
    golden.check("follows", &ArtifactAnswer::Follows(1 << 20));
    golden.check(
        "sealed",
        &SecretAnswer::Sealed {
            encapsulated: vec![1],
            ciphertext: vec![2],
        },
    );
    golden.check("greeting", &EnrollGreeting { root: vec![6] });
    golden.check(
        "join",
        &EnrollAsk::Join {
            token: "t".to_owned(),
            target,
            request: vec![5],
            simulated: false,
            epoch: Epoch(7),
            machine: "m".to_owned(),
        },
    );
    golden.check("renew", &EnrollAsk::Renew { request: vec![5] });
    golden.check("issued", &EnrollAnswer::Issued(issued));
    golden.check(
        "pending",
        &EnrollAnswer::Pending {
            fingerprint: "ab".to_owned(),
        },
    );
    // What stands around the messages: the protocols' names, a frame's header, and the close codes with their numbers.
    golden.check("alpn", &(ALPN.to_vec(), ENROLL_ALPN.to_vec()));
    golden.check("frame", &protocol::wire::frame::frame(&[7; 300]));
    let codes = Close::ALL.map(|close| (close.code(), format!("{close:?}"), close.may_retry()));
    golden.check("close", &codes.to_vec());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let lines: Vec<String> = golden
            .seen
            .iter()
            .map(|(name, hex)| format!("{name} {hex}\n"))
            .collect();
        std::fs::write(&path, lines.concat()).expect("the golden file can be written");
    }
}
