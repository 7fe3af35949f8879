//! Wire version 1 as properties: what is encoded decodes to itself, what is cut or has a tail is refused, and no bytes make
//! the decoder panic.

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use protocol::event::{GmsaChange, GmsaObject, Section};
use protocol::wire::codec::{decode, encode};
use protocol::wire::frame;
use protocol::wire::latest::{
    ArtifactAnswer, ArtifactAsk, ArtifactPart, BundleAnswer, BundleOffer, ControlDown, ControlUp,
    EnrollAnswer, EnrollAsk, EnrollGreeting, Entry, EventsDown, EventsUp, Head, Hello, Issued,
    Opening, SecretAnswer, Welcome,
};
use protocol::{
    Attempt, Digest, Epoch, EventIndex, Generation, RolloutId, StepIndex, TargetId, limits,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn target() -> impl Strategy<Value = TargetId> {
    "[a-z][a-z0-9]{0,10}\\.[a-z]{1,8}\\.test"
        .prop_map(|name| name.parse().expect("a name as DNS has them"))
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..300)
}

fn head() -> impl Strategy<Value = Head> {
    (any::<u64>(), any::<u64>(), any::<[u8; 32]>()).prop_map(|(epoch, index, chain)| Head {
        epoch: Epoch(epoch),
        index: EventIndex(index),
        chain: Digest::from_bytes(chain),
    })
}

fn gate() -> impl Strategy<Value = (Generation, StepIndex, Attempt)> {
    (any::<u64>(), any::<u16>(), any::<u16>()).prop_map(|(generation, step, attempt)| {
        (Generation(generation), StepIndex(step), Attempt(attempt))
    })
}

fn issued() -> impl Strategy<Value = Issued> {
    (vec(bytes(), 0..3), any::<i64>(), any::<i64>()).prop_map(|(chain, renew, expires)| Issued {
        chain,
        renew_after_millis: renew,
        expires_millis: expires,
    })
}

fn hello() -> impl Strategy<Value = Hello> {
    (target(), ".{0,20}", any::<bool>(), head(), any::<u32>()).prop_map(
        |(target, agent_version, simulated, head, root_version)| Hello {
            target,
            agent_version,
            simulated,
            head,
            generation: Generation(head.index.0),
            root_version,
        },
    )
}

fn opening() -> impl Strategy<Value = Opening> {
    prop_oneof![
        hello().prop_map(Opening::Control),
        Just(Opening::Events),
        (any::<[u8; 32]>(), any::<Option<u32>>()).prop_map(|(sha256, from)| {
            Opening::Artifact(ArtifactAsk {
                sha256: Digest::from_bytes(sha256),
                part: from.map_or(ArtifactPart::Chunks, ArtifactPart::From),
            })
        }),
        bytes().prop_map(|ask| Opening::Secret { ask }),
    ]
}

fn control_down() -> impl Strategy<Value = ControlDown> {
    prop_oneof![
        (any::<u64>(), head(), any::<i64>()).prop_map(|(epoch, stored, now_millis)| {
            ControlDown::Welcome(Welcome {
                controller_epoch: Epoch(epoch),
                stored,
                now_millis,
            })
        }),
        (gate(), any::<u64>()).prop_map(|((generation, step, attempt), lapses_millis)| {
            ControlDown::PermitGiven {
                generation,
                step,
                attempt,
                lapses_millis,
                after: (lapses_millis % 2 == 0).then(|| GmsaChange {
                    by: "a.contoso.com".parse().expect("a name"),
                    name: None,
                    readers: Some(vec![lapses_millis.to_string()]),
                }),
            }
        }),
        any::<u32>().prop_map(|rollout| ControlDown::Pause {
            rollout: RolloutId(rollout)
        }),
        any::<u32>().prop_map(|rollout| ControlDown::Resume {
            rollout: RolloutId(rollout)
        }),
        gate().prop_map(|(generation, ..)| ControlDown::Abort { generation }),
        (gate(), ".{0,20}").prop_map(|((generation, step, _), by)| ControlDown::Attested {
            generation,
            step,
            by
        }),
        issued().prop_map(ControlDown::Certificate),
        bytes().prop_map(|envelope| ControlDown::Root { envelope }),
    ]
}

fn control_up() -> impl Strategy<Value = ControlUp> {
    prop_oneof![
        (gate(), any::<bool>(), option::of(any::<bool>())).prop_map(
            |((generation, step, attempt), outage, gmsa)| {
                let gmsa = gmsa.map(|named| GmsaObject {
                    domain: "a.contoso.com".parse().expect("a name"),
                    name: named.then(|| "svc$".parse().expect("a name")),
                });
                ControlUp::PermitAsked {
                    generation,
                    step,
                    attempt,
                    section: Section { outage, gmsa },
                }
            }
        ),
        bytes().prop_map(|request| ControlUp::RenewalAsked { request }),
    ]
}

fn events_up() -> impl Strategy<Value = EventsUp> {
    let entry = (any::<u16>(), any::<i64>(), bytes()).prop_map(|(kind, at_millis, body)| Entry {
        kind,
        at_millis,
        body,
    });
    prop_oneof![
        (any::<u64>(), any::<u64>(), vec(entry, 0..4)).prop_map(|(epoch, first, entries)| {
            EventsUp::Entries {
                epoch: Epoch(epoch),
                first: EventIndex(first),
                entries,
            }
        }),
        any::<bool>().prop_map(|serving| EventsUp::Pulse { serving }),
        (gate(), any::<Option<u8>>(), ".{0,40}").prop_map(
            |((generation, step, _), percent, text)| {
                EventsUp::Progress {
                    generation,
                    step,
                    percent,
                    text,
                }
            }
        ),
    ]
}

fn enroll_ask() -> impl Strategy<Value = EnrollAsk> {
    prop_oneof![
        (".{0,40}", target(), bytes(), any::<bool>(), any::<u64>()).prop_map(
            |(token, target, request, simulated, epoch)| EnrollAsk::Join {
                machine: token.clone(),
                token,
                target,
                request,
                simulated,
                epoch: Epoch(epoch),
            }
        ),
        bytes().prop_map(|request| EnrollAsk::Renew { request }),
    ]
}

fn answers() -> impl Strategy<Value = (BundleAnswer, SecretAnswer, EnrollAnswer)> {
    let bundle = prop_oneof![
        Just(BundleAnswer::Accepted),
        ".{0,60}".prop_map(BundleAnswer::Refused),
    ];
    let secret = prop_oneof![
        (bytes(), bytes()).prop_map(|(encapsulated, ciphertext)| SecretAnswer::Sealed {
            encapsulated,
            ciphertext,
        }),
        ".{0,60}".prop_map(SecretAnswer::Refused),
    ];
    let enroll = prop_oneof![
        issued().prop_map(EnrollAnswer::Issued),
        "[0-9a-f]{64}".prop_map(|fingerprint| EnrollAnswer::Pending { fingerprint }),
        ".{0,60}".prop_map(EnrollAnswer::Refused),
    ];
    (bundle, secret, enroll)
}

/// It decodes to itself; nothing shorter and nothing longer does.
fn holds<T>(message: &T) -> Result<(), TestCaseError>
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let encoded = encode(message).expect("it is below the limit");
    prop_assert_eq!(&decode::<T>(&encoded).expect("its own bytes"), message);
    for length in 0..encoded.len() {
        prop_assert!(decode::<T>(&encoded[..length]).is_err(), "cut at {length}");
    }
    let framed = frame::frame(&encoded);
    let header = *framed.first_chunk().expect("a header");
    prop_assert_eq!(frame::length(header).expect("a length"), encoded.len());
    let longer = [encoded.as_slice(), &[0]].concat();
    prop_assert!(decode::<T>(&longer).is_err(), "a tail was taken");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_encoded_decodes_to_itself_and_to_nothing_else(
        opening in opening(),
        down in control_down(),
        up in control_up(),
        events in events_up(),
        ask in enroll_ask(),
        (bundle, secret, enroll) in answers(),
        content in bytes(),
        words in ".{0,60}",
        number in any::<u64>(),
    ) {
        holds(&opening)?;
        holds(&down)?;
        holds(&up)?;
        holds(&events)?;
        holds(&ask)?;
        holds(&bundle)?;
        holds(&secret)?;
        holds(&enroll)?;
        holds(&EnrollGreeting { root: content.clone() })?;
        holds(&BundleOffer { envelope: content })?;
        holds(&EventsDown::Acknowledged { index: EventIndex(number) })?;
        holds(&ArtifactAnswer::Follows(number))?;
        holds(&ArtifactAnswer::Refused(words))?;
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(content in vec(any::<u8>(), 0..600)) {
        drop(decode::<Opening>(&content));
        drop(decode::<ControlDown>(&content));
        drop(decode::<ControlUp>(&content));
        drop(decode::<EventsUp>(&content));
        drop(decode::<BundleOffer>(&content));
        drop(decode::<ArtifactAnswer>(&content));
        drop(decode::<SecretAnswer>(&content));
        drop(decode::<EnrollAsk>(&content));
        drop(decode::<EnrollAnswer>(&content));
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_by_its_length_alone(length in any::<u32>()) {
        let taken = frame::length(length.to_le_bytes());
        prop_assert_eq!(taken.is_ok(), length as usize <= limits::MAX_FRAME_BYTES);
    }
}
