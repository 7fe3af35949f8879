//! What a plan says that people give is what its servers ask for: of each kind, for whose, and how often.

use controller_core::plan::render;

use super::*;

/// Of each option of `entrain secret give`, how many answers the plan prints with it.
fn printed(said: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for rest in said.split("(entrain secret give ").skip(1) {
        let command = rest.split(')').next().unwrap();
        let words: Vec<&str> = command.split(' ').collect();
        let [option, whose, "--count", count, ..] = words.as_slice() else {
            panic!("{command}");
        };
        *counts.entry(format!("{option} {whose}")).or_default() += count.parse::<usize>().unwrap();
    }
    counts
}

#[test]
fn a_plan_prints_as_many_answers_as_its_servers_ask_for_of_each_kind() {
    let keys = Keys::new();
    let mut met = BTreeSet::new();
    for case in recipes::CASES {
        let plan = case.plan();
        let reported = case.reported();
        let mut asked: BTreeMap<String, usize> = BTreeMap::new();
        for (target, part) in &plan.targets {
            let mut twin = server(target, &reported[target], part, &BTreeSet::new());
            let lane = &plan.lanes[&part.lane];
            for phase in &part.phases {
                let bundle = keys.bundle(target, part, phase);
                let ran = drive(&bundle, &keys, &mut twin, None, PATIENCE);
                for deed in ran.deeds {
                    let Deed::Given(kind) = deed else { continue };
                    // The plan names the tenant as its topology does.
                    let option = kind.option();
                    let option = option.replace(lane.tenant.as_str(), &lane.tenant_name);
                    *asked.entry(option).or_default() += 1;
                }
            }
        }
        assert_eq!(printed(&render(&plan)), asked, "{}", case.title);
        met.extend(asked);
    }
    // A domain's administrator gives to one server and to two.
    for count in [1, 2] {
        let met = met.contains(&("--domain a.test".to_owned(), count));
        assert!(met, "no recipe asks one {count} times");
    }
}
