//! The guard rails in one table: where each is asked, or why it is not, which tests prove that by name, what lifts its holds, and whether
//! it may be set aside. The page under `deploy/docs` is this table; `UPDATE_DOCS=1` writes it anew. A new rail cannot be added without it.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use controller_core::finding::Severity;
use controller_core::fleet::{Cause, Lifter};
use controller_core::overrides::Rule;
use controller_core::rails::Rail;
use controller_core::topology::{Available, check, installable, parse};
use controller_core::versions::Versions;
use protocol::Timestamp;
use protocol::step::Product;

use crate::common;

/// Where something may be asked, in the order in which work comes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Check,
    Plan,
    Apply,
    Offer,
    Leave,
    Server,
}

const PLACES: [(Place, &str); 6] = [
    (Place::Check, "`check`"),
    (Place::Plan, "plan"),
    (Place::Apply, "`apply`"),
    (Place::Offer, "each offer"),
    (Place::Leave, "leave"),
    (Place::Server, "the server's agent"),
];

/// A file, and a test in it.
type Proof = (&'static str, &'static str);

enum Asked {
    /// What is asked there, and what proves it.
    Yes(&'static str, &'static [Proof]),
    /// Why nothing is.
    No(&'static str),
}

use Asked::{No, Yes};

const RAILS: &str = "controller/core/tests/core/rails.rs";
const CHANGED: &str = "controller/core/tests/core/changed.rs";
const ACTIONS: &str = "controller/core/tests/core/actions.rs";
const GUARDED: &str = "controller/core/tests/core/guarded.rs";
const MACHINE: &str = "controller/core/tests/core/machine.rs";
const STRANGERS: &str = "controller/core/tests/core/strangers.rs";
const SWITCH: &str = "controller/core/tests/core/switch.rs";
const CONNECT: &str = "controller/core/tests/core/connect.rs";
const UNDONE: &str = "controller/core/tests/core/undone.rs";
const SCOPES: &str = "controller/core/tests/core/scopes.rs";
const PROBES: &str = "controller/core/tests/core/probes.rs";
const TOPOLOGIES: &str = "controller/core/tests/core/topologies.rs";
const RETIRE: &str = "controller/core/tests/core/retire.rs";
const TWIN_RUN: &str = "agent/twin/tests/twin/run.rs";
const TWIN_SWITCH: &str = "agent/twin/tests/twin/switch.rs";
const TWIN_ORDERS: &str = "agent/twin/tests/twin/orders.rs";
const TWIN_PREFLIGHT: &str = "agent/twin/tests/twin/preflight.rs";
const GUARD: &str = "agent/core/tests/guard.rs";

const CHECKED: &[Proof] = &[(
    GUARDED,
    "check_refuses_what_would_break_a_rail_with_its_reason",
)];
const BOTH: &str = "controller/core/tests/core/both_tools.rs";
const TOLD: &[Proof] = &[(
    GUARDED,
    "check_says_of_what_it_cannot_refuse_what_will_be_asked",
)];
const PLANNED: &[Proof] = &[(RAILS, "no_plan_breaks_a_guard_rail")];
const LEFT: &[Proof] = &[(
    UNDONE,
    "nothing_older_ended_or_beyond_undoing_is_done_that_was_not_said_and_accepted",
)];

/// Where a rail is asked, and what proves it.
fn asked(rail: Rail, place: Place) -> Asked {
    match rail {
        Rail::G1 => match place {
            Place::Check => Yes(
                "refuses two Connect entries of one tenant, and express settings, which make a server active, for an entry of several servers",
                CHECKED,
            ),
            Place::Plan => Yes(
                "makes nobody active while another server of the entry is active, never reported or cannot tell, or while a directory or the tenant names a Connect server that the topology does not know; a swap begins with the active one",
                &[
                    (RAILS, "no_plan_breaks_a_guard_rail"),
                    (
                        SWITCH,
                        "where_it_is_not_clear_who_is_active_nothing_is_planned",
                    ),
                    (
                        SWITCH,
                        "a_server_that_only_the_directory_names_may_be_the_active_one",
                    ),
                ],
            ),
            Place::Apply => Yes(
                "refuses a plan with an alarm, and one that makes a server active while a Connect server is named that its topology does not know",
                &[(
                    STRANGERS,
                    "one_that_shows_after_the_plan_stops_apply_and_offer_until_a_plan_knows_it",
                )],
            ),
            Place::Offer => Yes(
                "holds whatever makes a server active while another one of the tenant is active, cannot tell, or is on the way to it, in any rollout, and while one is named that nobody knows",
                &[
                    (
                        CHANGED,
                        "g1_while_another_server_is_active_or_cannot_be_told_or_is_unknown_none_becomes_active",
                    ),
                    (CONNECT, "of_two_that_could_begin_at_once_one_does"),
                ],
            ),
            Place::Leave => Yes(
                "the same, where a step of such a phase asks for leave, and for as long as a person is at its wizard: they are told not to go on, and nothing is attested until it is right again",
                &[
                    (STRANGERS, "one_that_shows_after_the_offer_gets_no_leave"),
                    (
                        CHANGED,
                        "g1_at_an_open_wizard_nobody_goes_on_while_it_would_be_broken",
                    ),
                ],
            ),
            Place::Server => Yes(
                "an installation or upgrade of Connect that ends in another mode than was meant fails",
                &[
                    (
                        TWIN_RUN,
                        "an_installation_that_ends_in_the_other_mode_fails_loudly",
                    ),
                    (
                        TWIN_RUN,
                        "an_upgrade_that_makes_a_staging_server_active_fails_loudly",
                    ),
                ],
            ),
        },
        Rail::G2 => match place {
            Place::Check => Yes(
                "refuses a `min_serving` that the hosts of a domain cannot reach; warns where it lets none of them go out of service, and where one host serves a domain",
                CHECKED,
            ),
            Place::Plan => Yes(
                "says for each domain who serves it and how many must; a server that goes for good goes last",
                &[(RETIRE, "the_plan_says_what_goes_when_and_what_people_do")],
            ),
            Place::Apply => {
                No("who serves is of the moment: it is asked when somebody goes out of service")
            }
            Place::Offer => Yes(
                "has whoever serves wait, in no place that somebody else could use, for those of its rollout that are about to serve the same domain",
                &[(
                    "controller/rehearsal/tests/rehearsal/course.rs",
                    "who_adds_to_the_service_goes_before_who_is_taken_out_of_it",
                )],
            ),
            Place::Leave => Yes(
                "holds an outage while fewer others were seen to serve each of its domains within 60 s; whoever is in an outage, or may be, does not count",
                &[
                    (
                        CHANGED,
                        "g2_while_too_few_others_serve_nobody_goes_out_of_service",
                    ),
                    (
                        MACHINE,
                        "the_rules_hold_after_each_operation_and_the_log_tells_the_same",
                    ),
                ],
            ),
            Place::Server => Yes(
                "takes nothing out of service before leave has come, and asks again after a pause",
                &[
                    (
                        TWIN_ORDERS,
                        "leave_that_comes_after_a_pause_is_asked_for_again",
                    ),
                    (
                        TWIN_ORDERS,
                        "a_step_that_takes_too_long_fails_and_one_that_waits_for_leave_expires",
                    ),
                ],
            ),
        },
        Rail::G3 => match place {
            Place::Check => No(
                "which steps change a gMSA object is the agent's to know, and servers may share one",
            ),
            Place::Plan => {
                No("in whatever order servers are planned, their changes follow each other")
            }
            Place::Apply => No("the same"),
            Place::Offer => No("a phase asks when it comes to the change"),
            Place::Leave => Yes(
                "holds a change while another server is in one of the same object, or may be",
                &[
                    (
                        CHANGED,
                        "g3_while_another_server_changes_the_same_gmsa_nobody_does",
                    ),
                    (
                        MACHINE,
                        "the_rules_hold_after_each_operation_and_the_log_tells_the_same",
                    ),
                ],
            ),
            Place::Server => Yes(
                "changes it once its own domain controller shows what the last one changed; where that cannot be seen, a person looks",
                &[
                    (
                        TWIN_PREFLIGHT,
                        "the_next_server_acts_when_its_own_controller_shows_the_change",
                    ),
                    (
                        TWIN_PREFLIGHT,
                        "where_the_change_cannot_be_seen_a_person_looks_and_says_so",
                    ),
                ],
            ),
        },
        Rail::G4 => match place {
            Place::Check => {
                No("a topology says what the limits are; what a server has is in its facts")
            }
            Place::Plan => Yes(
                "makes no server active whose Connect is below the wanted version or cannot be told; its exports are counted before the active one is touched",
                &[
                    (
                        SWITCH,
                        "where_it_is_not_clear_who_is_active_nothing_is_planned",
                    ),
                    (SWITCH, "the_plan_says_the_order_and_what_a_person_brings"),
                ],
            ),
            Place::Apply => No(
                "what must be so is brought about by the rollout's own phases; on other facts than the plan read it is refused as such",
            ),
            Place::Offer => Yes(
                "holds a change of either mode until the other one is verified and counted, and both told the same settings in this rollout or that difference was approved; and the second one while it has another version than was to be verified",
                &[
                    (
                        CHANGED,
                        "g4_a_server_that_is_no_longer_what_was_verified_does_not_become_active",
                    ),
                    (
                        SWITCH,
                        "the_active_server_waits_for_the_count_and_the_other_for_staging_mode",
                    ),
                    (
                        SWITCH,
                        "a_difference_that_came_after_the_approval_holds_the_other_server",
                    ),
                    (
                        SWITCH,
                        "what_cannot_be_read_is_not_equal_also_where_both_cannot_tell",
                    ),
                ],
            ),
            Place::Leave => No(
                "a change of mode is a person's work at the wizard and no section that asks for leave",
            ),
            Place::Server => Yes(
                "counts pending exports before the active server is touched and once more before the mode is changed: too many, too old or untold stops it",
                &[(
                    TWIN_SWITCH,
                    "what_a_staging_server_would_export_stops_it_where_it_is_too_much_too_old_or_not_told",
                )],
            ),
        },
        Rail::G5 => match place {
            Place::Check => No("a topology starts nothing"),
            Place::Plan => No("a plan starts nothing, and several may be made of one server"),
            Place::Apply => Yes(
                "refuses a plan that changes a server on which another rollout's changes are not over",
                &[(SWITCH, "two_works_on_one_server_do_not_go_together")],
            ),
            Place::Offer => Yes(
                "holds while a bundle is open on the server; each bundle has the next number",
                &[
                    (
                        CHANGED,
                        "g5_while_a_bundle_is_open_on_a_server_no_other_begins",
                    ),
                    (
                        MACHINE,
                        "the_rules_hold_after_each_operation_and_the_log_tells_the_same",
                    ),
                ],
            ),
            Place::Leave => Yes(
                "is given to the bundle that is open there, and to no other",
                &[(
                    MACHINE,
                    "a_resolved_target_gets_no_leave_for_what_it_asked_before",
                )],
            ),
            Place::Server => Yes(
                "refuses a bundle while a run is open, one with a lower number, and other content under the same one",
                &[
                    (GUARD, "one_bundle_at_a_time"),
                    (
                        GUARD,
                        "a_generation_never_falls_and_never_changes_its_content",
                    ),
                ],
            ),
        },
        Rail::G6 => match place {
            Place::Check => Yes(
                "refuses to bring a version that was taken back, whoever says so, or that its vendor has ended; warns of what else secondary sources say",
                CHECKED,
            ),
            Place::Plan => Yes(
                "brings nothing older than what is there: what is newer than wanted is accepted",
                LEFT,
            ),
            Place::Apply => Yes(
                "refuses a version that was taken back since the plan was made",
                &[(
                    "tests/e2e/tests/stories/versions.rs",
                    "the_worst_version_comes_first_and_data_of_the_vendor_block",
                )],
            ),
            Place::Offer => Yes(
                "holds whatever changes something with a version that was taken back since",
                &[(
                    CHANGED,
                    "g6_a_version_that_its_vendor_takes_back_is_brought_to_nobody_more",
                )],
            ),
            Place::Leave => Yes(
                "the same",
                &[(
                    CHANGED,
                    "g6_a_version_that_its_vendor_takes_back_is_brought_to_nobody_more",
                )],
            ),
            Place::Server => Yes(
                "refuses an installer that is older than what it finds",
                &[(TWIN_RUN, "nothing_is_downgraded")],
            ),
        },
        Rail::G7 => match place {
            Place::Check => Yes(
                "refuses a domain that agents serve and of which Connect takes everything, as its settings are written, but where its entry says why that is meant (`overlap`); warns of every other domain in both tools, and says what will be asked: which units the agents take stands in no topology",
                &[
                    (
                        GUARDED,
                        "check_refuses_what_would_break_a_rail_with_its_reason",
                    ),
                    (
                        GUARDED,
                        "check_says_of_what_it_cannot_refuse_what_will_be_asked",
                    ),
                    (
                        BOTH,
                        "a_domain_of_which_both_take_everything_is_refused_unless_that_is_said_to_be_meant",
                    ),
                ],
            ),
            Place::Plan => Yes(
                "says whether the units are disjoint, overlap, or cannot be told, and what holds",
                &[(
                    SCOPES,
                    "the_plan_says_what_holds_and_a_verification_reads_what_connect_takes",
                )],
            ),
            Place::Apply => {
                No("both may be read after it: it is asked before the domain is configured")
            }
            Place::Offer => Yes(
                "holds a phase that configures such a domain while what was read of both is older than a day, overlaps, or cannot be told",
                &[
                    (
                        SCOPES,
                        "a_domain_in_both_tools_is_configured_only_where_its_units_were_probed_disjoint",
                    ),
                    (
                        SCOPES,
                        "a_domain_in_both_tools_is_configured_only_while_both_were_read_lately_and_are_disjoint",
                    ),
                    (
                        SCOPES,
                        "units_that_overlap_by_now_hold_what_was_offered_and_let_it_go_on_once_they_do_not",
                    ),
                ],
            ),
            Place::Leave => Yes(
                "the same",
                &[(
                    SCOPES,
                    "units_that_overlap_by_now_hold_what_was_offered_and_let_it_go_on_once_they_do_not",
                )],
            ),
            Place::Server => No(
                "an agent knows one server: the controller compares what the tenant and the Connect servers told",
            ),
        },
        Rail::G8 => match place {
            Place::Check => No("findings come from servers and tenants, and not from a topology"),
            Place::Plan => Yes(
                "opens each phase that changes anything with its preflight, but for a removal, which asks the little that it needs itself; says what the tenant shows",
                PLANNED,
            ),
            Place::Apply => {
                No("what blocks may be put right meanwhile: it is asked before anything is touched")
            }
            Place::Offer => Yes(
                "holds those whom a blocking finding of their tenant is about, as it was read last",
                &[
                    (
                        PROBES,
                        "what_blocks_stops_those_whom_it_is_about_until_the_tenant_is_read_again",
                    ),
                    (
                        PROBES,
                        "what_blocks_by_now_holds_what_was_offered_and_lets_it_go_on_once_it_is_put_right",
                    ),
                ],
            ),
            Place::Leave => Yes(
                "the same",
                &[(
                    PROBES,
                    "what_blocks_by_now_holds_what_was_offered_and_lets_it_go_on_once_it_is_put_right",
                )],
            ),
            Place::Server => Yes(
                "the preflight of the phase fails by a blocking finding, and nothing behind it begins",
                &[(TWIN_RUN, "each_fault_stops_where_it_must_and_says_why")],
            ),
        },
        Rail::G9 => match place {
            Place::Check => Yes(
                "refuses a host in two tenants, of agents or of Connect",
                CHECKED,
            ),
            Place::Plan => Yes(
                "leaves a server alone whose agent is registered with another tenant",
                PLANNED,
            ),
            Place::Apply => No("facts that have changed since the plan are refused as such"),
            Place::Offer => Yes(
                "holds a phase that configures an agent which is registered with another tenant by now",
                &[(
                    CHANGED,
                    "g9_a_server_that_is_registered_elsewhere_by_now_is_left_as_it_is",
                )],
            ),
            Place::Leave => Yes(
                "the same",
                &[(
                    CHANGED,
                    "g9_a_server_that_is_registered_elsewhere_by_now_is_left_as_it_is",
                )],
            ),
            Place::Server => Yes(
                "refuses a bundle with a step of another tenant; its preflight blocks where it is registered elsewhere (PF40); a token of another tenant registers nothing",
                &[
                    (GUARD, "a_bundle_is_of_one_tenant"),
                    (TWIN_RUN, "a_host_of_another_tenant_is_left_as_it_is"),
                    (TWIN_RUN, "a_token_of_another_tenant_registers_nothing"),
                ],
            ),
        },
        Rail::G10 => match place {
            Place::Check => Yes(
                "warns where nothing would synchronize a domain any more",
                TOLD,
            ),
            Place::Plan => Yes("lists each act that cannot be undone apart", LEFT),
            Place::Apply => Yes(
                "refuses unless the number of these acts is given",
                &[(
                    "tests/e2e/tests/stories/retire.rs",
                    "a_retired_server_loses_its_agent_and_the_last_of_a_domain_only_by_name",
                )],
            ),
            Place::Offer => Yes(
                "holds whatever changes something where fewer were accepted, and an installation or a swap that would switch on a tenant's synchronization, as it was read last, where its plan does not name that (a failover names it and is held by no later reading); and the removal of a domain's last agent while its tenant, as its jobs were seen last, has a configuration at work for it that nobody else may serve",
                &[
                    (UNDONE, "what_was_said_and_accepted_goes"),
                    (
                        CHANGED,
                        "g10_the_last_agent_of_a_domain_waits_until_its_configuration_is_seen_to_be_disabled",
                    ),
                    (
                        CHANGED,
                        "g10_what_a_tenant_shows_to_be_beyond_undoing_is_not_done_by_a_plan_that_does_not_name_it",
                    ),
                    (
                        CHANGED,
                        "g10_a_swap_that_would_switch_synchronization_on_names_it_or_is_held",
                    ),
                    (
                        CHANGED,
                        "g10_a_failover_names_what_it_switches_on_and_is_held_by_no_later_reading",
                    ),
                ],
            ),
            Place::Leave => Yes(
                "the same",
                &[
                    (UNDONE, "what_was_said_and_accepted_goes"),
                    (
                        CHANGED,
                        "g10_what_a_tenant_shows_to_be_beyond_undoing_is_not_done_by_a_plan_that_does_not_name_it",
                    ),
                ],
            ),
            Place::Server => {
                No("an agent knows one server, and not what its domain and tenant have beside it")
            }
        },
    }
}

/// The properties over random events by which the rail holds at each action: of whatever kind of plan, and of installations in whatever
/// version.
const fn properties(rail: Rail) -> &'static [Proof] {
    match rail {
        Rail::G1 | Rail::G2 | Rail::G3 | Rail::G4 | Rail::G5 | Rail::G9 => {
            &[(ACTIONS, "no_offer_and_no_leave_breaks_g1_to_g6_g9_or_g10")]
        }
        Rail::G6 | Rail::G10 => &[
            (ACTIONS, "no_offer_and_no_leave_breaks_g1_to_g6_g9_or_g10"),
            (
                UNDONE,
                "nothing_older_ended_or_beyond_undoing_is_done_that_was_not_said_and_accepted",
            ),
        ],
        Rail::G7 => &[(
            TOPOLOGIES,
            "agents_configure_their_domains_only_while_none_is_in_both_scopes",
        )],
        Rail::G8 => &[(
            TOPOLOGIES,
            "what_blocks_in_a_tenant_stops_those_whom_it_is_about_and_no_others",
        )],
    }
}

/// What proves that the rail holds in a plan, or that the plan says what the rail wants said: a property over random topologies and facts, or the test of those
/// words and refusals; none where no plan is asked.
const fn planned(rail: Rail) -> Option<Proof> {
    match rail {
        Rail::G1 | Rail::G8 | Rail::G9 => Some((RAILS, "no_plan_breaks_a_guard_rail")),
        Rail::G2 => Some((RETIRE, "the_plan_says_what_goes_when_and_what_people_do")),
        Rail::G4 => Some((
            SWITCH,
            "where_it_is_not_clear_who_is_active_nothing_is_planned",
        )),
        Rail::G6 | Rail::G10 => Some((
            UNDONE,
            "nothing_older_ended_or_beyond_undoing_is_done_that_was_not_said_and_accepted",
        )),
        Rail::G7 => Some((
            SCOPES,
            "the_plan_says_what_holds_and_a_verification_reads_what_connect_takes",
        )),
        Rail::G3 | Rail::G5 => None,
    }
}

/// The rails that are asked at a place by a test of this file.
fn by(place: Place, test: &str) -> BTreeSet<Rail> {
    let own = |rail: &Rail| {
        let Yes(_, proofs) = asked(*rail, place) else {
            return false;
        };
        proofs.contains(&(GUARDED, test))
    };
    Rail::ALL.into_iter().filter(own).collect()
}

/// The story in which the world changes while a rollout runs, which then holds by the rail, and goes on once it is right again.
fn changed(rail: Rail) -> Proof {
    match rail {
        Rail::G1 => (
            CHANGED,
            "g1_while_another_server_is_active_or_cannot_be_told_or_is_unknown_none_becomes_active",
        ),
        Rail::G2 => (
            CHANGED,
            "g2_while_too_few_others_serve_nobody_goes_out_of_service",
        ),
        Rail::G3 => (
            CHANGED,
            "g3_while_another_server_changes_the_same_gmsa_nobody_does",
        ),
        Rail::G4 => (
            CHANGED,
            "g4_a_server_that_is_no_longer_what_was_verified_does_not_become_active",
        ),
        Rail::G5 => (
            CHANGED,
            "g5_while_a_bundle_is_open_on_a_server_no_other_begins",
        ),
        Rail::G6 => (
            CHANGED,
            "g6_a_version_that_its_vendor_takes_back_is_brought_to_nobody_more",
        ),
        Rail::G7 => (
            SCOPES,
            "units_that_overlap_by_now_hold_what_was_offered_and_let_it_go_on_once_they_do_not",
        ),
        Rail::G8 => (
            PROBES,
            "what_blocks_by_now_holds_what_was_offered_and_lets_it_go_on_once_it_is_put_right",
        ),
        Rail::G9 => (
            CHANGED,
            "g9_a_server_that_is_registered_elsewhere_by_now_is_left_as_it_is",
        ),
        Rail::G10 => (
            CHANGED,
            "g10_what_a_tenant_shows_to_be_beyond_undoing_is_not_done_by_a_plan_that_does_not_name_it",
        ),
    }
}

/// The causes by which a rail holds.
fn causes(rail: Rail) -> impl Iterator<Item = Cause> {
    let all = Cause::ALL.into_iter();
    all.filter(move |cause| cause.rails().contains(&rail))
}

/// Whether somebody may set it aside, and how.
fn set_aside(rail: Rail) -> String {
    let Some(rule) = rail.rule() else {
        let why = rail.as_str().parse::<Rule>().unwrap_err();
        return format!("no: {why}");
    };
    let of = match rail {
        Rail::G1 => ", but for the alarms of a plan and the order of the two halves of a swap",
        Rail::G4 => {
            ", of the exports that are counted; a difference of settings is approved by `entrain accept`, and the rest has none"
        }
        Rail::G8 => ", of findings of the tenant and, in the next bundle, of the preflight",
        Rail::G2 | Rail::G3 | Rail::G5 | Rail::G6 | Rail::G7 | Rail::G9 | Rail::G10 => "",
    };
    format!(
        "`entrain override {rule}`: for one server and an hour, by as many operators as the trust root asks approvers for{of}"
    )
}

fn name(cause: Cause) -> String {
    let name = serde_json::to_value(cause).unwrap();
    name.as_str().unwrap().to_owned()
}

fn page() -> String {
    let mut out = String::from(
        "# Guard rails

What Entrain does not do, whoever orders it; where that is asked; what lifts a hold and who can; and whether it may be set aside. The names before what
lifts a hold are its causes, as `entrain why` shows them in words and `--json` by these names. This page is written by the test that holds the tables against
the machine.

| | Forbids | Is asked at | What lifts its holds | Who can | Set aside |
| --- | --- | --- | --- | --- | --- |
",
    );
    for rail in Rail::ALL {
        let places = PLACES
            .iter()
            .filter(|(place, _)| matches!(asked(rail, *place), Yes(..)));
        let places: Vec<&str> = places.map(|(_, name)| *name).collect();
        let lifts: Vec<String> = causes(rail)
            .map(|cause| format!("`{}`: {}", name(cause), cause.lifted_by()))
            .collect();
        let mut who: Vec<&str> = Vec::new();
        for lifter in causes(rail).flat_map(|cause| cause.lifters()) {
            if !who.contains(&lifter.as_str()) {
                who.push(lifter.as_str());
            }
        }
        writeln!(
            out,
            "| {rail} | {} | {} | {} | {} | {} |",
            rail.forbids(),
            places.join(", "),
            lifts.join(". "),
            who.join("; "),
            set_aside(rail)
        )
        .unwrap();
    }
    out.push_str(
        "
## Where each is asked

An offer that nobody has accepted is asked for once more when its agent is back: where a rail holds it by then, it is taken back and made anew once it may be.

",
    );
    out.push_str("| |");
    for (_, name) in PLACES {
        write!(out, " {name} |").unwrap();
    }
    out.push_str("\n| --- |");
    out.push_str(&" --- |".repeat(PLACES.len()));
    out.push('\n');
    for rail in Rail::ALL {
        write!(out, "| {rail} |").unwrap();
        for (place, _) in PLACES {
            match asked(rail, place) {
                Yes(what, _) => write!(out, " {what} |").unwrap(),
                No(why) => write!(out, " *not asked*: {why} |").unwrap(),
            }
        }
        out.push('\n');
    }
    out.push_str(
        "
## What proves it

For each rail a property over random events and topologies, at each offer and each leave (for all but G7 and G8 over random facts of servers too: what those two ask is
what was read of tenants and of Connect's settings, which is drawn); where a plan is asked, what proves it of plans; a story in which the world changes while a rollout runs, which then holds by that rail and goes on once it is right again; and the tests of each place.

| | Property at each action | In a plan | The world changes | Each place |
| --- | --- | --- | --- | --- |
",
    );
    for rail in Rail::ALL {
        let test = |(file, name): Proof| format!("`{name}` ({file})");
        let mut all: Vec<Proof> = Vec::new();
        for (place, _) in PLACES {
            if let Yes(_, proofs) = asked(rail, place) {
                all.extend(
                    proofs
                        .iter()
                        .filter(|one| !all.contains(one))
                        .copied()
                        .collect::<Vec<_>>(),
                );
            }
        }
        let all: Vec<String> = all.into_iter().map(test).collect();
        let properties: Vec<String> = properties(rail).iter().copied().map(test).collect();
        writeln!(
            out,
            "| {rail} | {} | {} | {} | {} |",
            properties.join("; "),
            planned(rail).map_or_else(|| "*not asked*".to_owned(), test),
            test(changed(rail)),
            all.join("; ")
        )
        .unwrap();
    }
    out
}

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// There is a test of that name in that file.
fn is_there((file, name): Proof) {
    let text = std::fs::read_to_string(root().join(file)).unwrap_or_default();
    let at = text.find(&format!("fn {name}("));
    let before = at.map_or("", |at| text[..at].trim_end());
    assert!(before.ends_with("#[test]"), "no test {name} in {file}");
}

#[test]
fn each_rail_is_proven_wherever_it_is_asked_and_says_why_it_is_not() {
    for rail in Rail::ALL {
        assert!(!properties(rail).is_empty(), "{rail}");
        properties(rail).iter().copied().for_each(is_there);
        is_there(changed(rail));
        planned(rail).into_iter().for_each(is_there);
        for (place, name) in PLACES {
            match asked(rail, place) {
                Yes(what, proofs) => {
                    assert!(!what.is_empty() && !proofs.is_empty(), "{rail} at {name}");
                    proofs.iter().copied().for_each(is_there);
                }
                No(why) => assert!(!why.is_empty(), "{rail} at {name}"),
            }
        }
        let acts = |place| matches!(asked(rail, place), Yes(..));
        assert_eq!(planned(rail).is_some(), acts(Place::Plan), "{rail}");
        assert!(
            acts(Place::Offer) || acts(Place::Leave),
            "{rail} is asked at no action"
        );
    }
}

#[test]
fn each_rail_holds_by_causes_that_say_what_lifts_them_and_each_rule_is_of_one_rail() {
    let mut names = BTreeSet::new();
    for (rail, number) in Rail::ALL.into_iter().zip(1..) {
        assert_eq!(rail.as_str(), format!("G{number}"));
        assert!(names.insert(rail.forbids()), "{rail}");
        assert!(causes(rail).next().is_some(), "{rail} holds nothing");
        assert_eq!(
            rail.rule().map(Rule::as_str).is_some(),
            rail.as_str().parse::<Rule>().is_ok()
        );
        assert!(
            rail.rule()
                .is_none_or(|rule| rule.as_str() == rail.as_str())
        );
    }
    for rule in Rule::ALL.into_iter().filter(|rule| *rule != Rule::Window) {
        let of = Rail::ALL.iter().filter(|rail| rail.rule() == Some(rule));
        assert_eq!(of.count(), 1, "{rule}");
    }
    // What is said to be lifted by an override is held by a rail that may be set aside.
    for cause in Cause::ALL {
        let Some((_, rule)) = cause.lifted_by().split_once("override ") else {
            continue;
        };
        assert!(cause.lifters().contains(&Lifter::Approvers), "{cause:?}");
        let rule: Rule = rule.parse().unwrap();
        let own = cause.rails().iter().any(|rail| rail.rule() == Some(rule));
        assert!(own || rule == Rule::Window, "{cause:?}");
    }
}

#[test]
fn the_page_of_guard_rails_is_this_table() {
    let path = root().join("deploy/docs/guard-rails.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, page(), "UPDATE_DOCS=1 writes the page anew");
}

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const TENANTS: &str = "[tenant.a]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n[tenant.b]\nid = \"77aa0000-0000-0000-0000-000000000000\"\n";

/// What `check` finds of a text, with what is known of versions.
fn found(text: &str) -> Vec<(Severity, String)> {
    let text = format!("{TENANTS}{text}");
    let (topology, slips) = parse(&[common::document(text)]);
    assert!(slips.is_empty(), "{slips:?}");
    let newest = common::artifacts().into_iter();
    let newest = newest.map(|(product, artifact)| (product, artifact.version));
    let available = Available(newest.collect());
    let data = format!(
        "checked_on = \"2026-09-01\"\n[[release]]\nversion = \"{}\"\nrecalled = \"it breaks\"\nproduct = \"{}\"\nsource = \"a page\"\ncertainty = \"vendor\"\n",
        common::CONNECT,
        "connect"
    );
    assert_eq!(available.0[&Product::Connect], common::CONNECT);
    let versions = Versions::parse(&data).unwrap();
    let mut findings = check(&topology, Some(&available));
    findings.extend(installable(&topology, &available, &versions, NOW));
    findings
        .into_iter()
        .map(|one| (one.severity, one.what))
        .collect()
}

#[test]
fn check_refuses_what_would_break_a_rail_with_its_reason() {
    let agents = |name: &str, tenant: &str, host: &str| {
        format!(
            "[agents.{name}]\ntenant = \"{tenant}\"\nserves = [\"{name}.test\"]\nhosts = [\"{host}\"]\n[domain.\"{name}.test\"]\nallow_outage = true\n"
        )
    };
    let connect = |name: &str, tenant: &str, servers: &str, more: &str| {
        format!(
            "[connect.{name}]\ntenant = \"{tenant}\"\nforests = [\"{name}.test\"]\nservers = [{servers}]\n{more}\n"
        )
    };
    let two = format!(
        "{}{}",
        connect("c", "a", "\"c1.c.test\"", ""),
        connect("d", "a", "\"d1.d.test\"", "")
    );
    let express = connect(
        "c",
        "a",
        "\"c1.c.test\", \"c2.c.test\"",
        "settings = \"express\"",
    );
    let minimum = "[agents.e]\ntenant = \"a\"\nserves = [\"e.test\"]\nhosts = [\"e1.e.test\"]\n[domain.\"e.test\"]\nmin_serving = 3\n";
    let whole = "[agents.e]\ntenant = \"a\"\nserves = [\"e.test\"]\nhosts = [\"e1.e.test\"]\n[connect.c]\ntenant = \"a\"\nforests = [\"e.test\"]\nservers = [\"c1.e.test\"]\nsettings = \"express\"\n";
    let hosts = format!(
        "{}{}",
        agents("e", "a", "e1.e.test"),
        agents("f", "b", "e1.e.test")
    );
    let beside = format!(
        "{}{}",
        agents("e", "a", "e1.e.test"),
        connect("c", "b", "\"e1.e.test\"", "")
    );
    let mut refused = BTreeSet::new();
    for (rail, text, says) in [
        (
            Rail::G1,
            two.as_str(),
            "one installation serves a tenant, with one active server",
        ),
        (Rail::G1, &express, "a second active one would break"),
        (
            Rail::G2,
            minimum,
            "min_serving = 3 of e.test cannot be reached: 1 hosts serve it",
        ),
        (Rail::G6, &express, "recalled: it breaks"),
        (
            Rail::G7,
            whole,
            "an object must be in the scope of one tool alone",
        ),
        (Rail::G9, &hosts, "a host belongs to one tenant"),
        (Rail::G9, &beside, "a host belongs to one tenant"),
    ] {
        let found = found(text);
        let refuses = found.iter().any(|(severity, what)| {
            *severity == Severity::Error && what.contains(says) && what.contains(rail.as_str())
        });
        assert!(refuses, "{rail}: {found:#?}");
        refused.insert(rail);
    }
    // What is refused here is what the table says of `check`, and each that it asks is refused here or told by the next test.
    let own = by(
        Place::Check,
        "check_refuses_what_would_break_a_rail_with_its_reason",
    );
    assert_eq!(refused, own);
    let told = by(
        Place::Check,
        "check_says_of_what_it_cannot_refuse_what_will_be_asked",
    );
    let asked_there = |rail: &Rail| matches!(asked(*rail, Place::Check), Yes(..));
    let all: BTreeSet<Rail> = Rail::ALL.into_iter().filter(asked_there).collect();
    assert_eq!(&refused | &told, all);
    // What breaks none of them is not refused.
    let sound = agents("e", "a", "e1.e.test");
    let errors = found(&sound)
        .into_iter()
        .filter(|(severity, _)| *severity == Severity::Error);
    assert_eq!(errors.count(), 0);
}

#[test]
fn check_says_of_what_it_cannot_refuse_what_will_be_asked() {
    let both = "[agents.e]\ntenant = \"a\"\nserves = [\"e.test\"]\nhosts = [\"e1.e.test\"]\n[connect.c]\ntenant = \"a\"\nforests = [\"e.test\"]\nservers = [\"c1.e.test\"]\n";
    let gone = "[agents.e]\ntenant = \"a\"\nserves = [\"e.test\"]\nhosts = []\nretired = [\"e1.e.test\"]\n";
    let mut told = BTreeSet::new();
    for (rail, text) in [(Rail::G7, both), (Rail::G10, gone)] {
        told.insert(rail);
        let found = found(text);
        let named = format!("({rail})");
        let warns = |(severity, what): &(Severity, String)| {
            *severity == Severity::Warning && what.contains(&named)
        };
        assert!(found.iter().any(warns), "{rail}: {found:#?}");
    }
    let own = by(
        Place::Check,
        "check_says_of_what_it_cannot_refuse_what_will_be_asked",
    );
    assert_eq!(told, own);
}
