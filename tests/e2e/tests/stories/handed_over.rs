//! What a domain's administrator is handed counts what agents have read of forests, where a controller answers.

use e2e::{TENANT, World, server, text};

const A: &str = "sync-01.corp.contoso.com";

/// Of a script, the line by which somebody asks the directory and hands on the file.
fn asks(script: &str, domain: &str) -> String {
    let words = format!("--user NAME --answers {domain}.json");
    let mut lines = script.lines().filter(|line| line.contains(&words));
    let line = lines
        .next()
        .unwrap_or_else(|| panic!("no such line: {script}"));
    line.to_owned()
}

/// Connect takes a whole forest, and agents serve a domain whose name does not tell whether it is a tree of that: the model's forest names
/// corp.local among its suffixes, and fabrikam.com nowhere.
#[test]
fn a_handover_goes_by_the_trees_of_a_forest_that_an_agent_has_read() {
    let mut world = World::new();
    world.enroll(&[server(A, &[])]);
    let topology = world.write(
        "topology.toml",
        &format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[connect.main]\nforests = [\"corp.contoso.com\"]\nservers = [\"{A}\"]\nsettings = \"express\"\n[agents.local]\nserves = [\"corp.local\"]\nhosts = [\"sync-01.corp.local\"]\n[agents.other]\nserves = [\"fabrikam.com\"]\nhosts = [\"sync-01.fabrikam.com\"]\n"
        ),
    );
    let handover = |world: &World, domain: &str| {
        let done = world.entrain(&["handover", domain, &topology]);
        assert!(done.status.success(), "{}", text(&done));
        let printed = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (printed(&done.stdout), printed(&done.stderr))
    };
    let unknown = |domain: &str| {
        format!(
            "Whether {domain} is another tree of the forest corp.contoso.com, which Connect takes whole, is not known here"
        )
    };
    for domain in ["corp.local", "fabrikam.com"] {
        let (script, said) = handover(&world, domain);
        assert!(script.contains(&unknown(domain)), "{script}");
        assert!(!asks(&script, domain).contains("--anchors"), "{script}");
        assert!(
            !said.contains("does not count"),
            "a controller answers: {said}"
        );
    }
    // A preflight of the Connect server reads the forest; what it says of that server is no matter here.
    let asked = text(&world.entrain(&["preflight", &topology]));
    assert!(asked.contains("answered: 1"), "{asked}");
    let (script, _) = handover(&world, "corp.local");
    assert!(!script.contains(&unknown("corp.local")), "{script}");
    assert!(
        asks(&script, "corp.local").ends_with(" --anchors"),
        "{script}"
    );
    let (script, _) = handover(&world, "fabrikam.com");
    assert!(!script.contains(&unknown("fabrikam.com")), "{script}");
    assert!(
        !asks(&script, "fabrikam.com").contains("--anchors"),
        "{script}"
    );
    // Where none answers, the script is there all the same, and whoever reads it is told that nothing read counts in it.
    world.kill_controller();
    let (script, said) = handover(&world, "corp.local");
    assert!(script.contains(&unknown("corp.local")), "{script}");
    assert!(
        !asks(&script, "corp.local").contains("--anchors"),
        "{script}"
    );
    assert!(
        said.contains("what agents have read of forests does not count in this"),
        "{said}"
    );
}
