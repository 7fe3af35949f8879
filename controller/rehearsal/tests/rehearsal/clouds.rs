//! The data on clouds and the agent's constants agree: an operator reads the one, and a server gets the other.

use agent_core::product;
use controller_core::clouds::Clouds;
use protocol::step::{Cloud, Product};

const EACH: [Cloud; 3] = [Cloud::Commercial, Cloud::UsGovernment, Cloud::China];

#[test]
fn the_setup_is_given_the_value_that_the_data_name() {
    for cloud in EACH {
        let data = &Clouds::built_in().of(cloud).environment.value;
        assert_eq!(data, product::environment_name(cloud), "{cloud:?}");
        let arguments = product::setup_arguments(cloud, None);
        assert!(
            arguments.contains(&format!("ENVIRONMENTNAME={data}")),
            "{arguments:?}"
        );
    }
}

/// A firewall that lets through what the data name answers each probe of the agent.
#[test]
fn every_host_that_an_agent_asks_is_let_through_by_the_data() {
    let tenant = "3f0c8a4e-0000-0000-0000-000000000000"
        .parse()
        .expect("a tenant");
    let mut asked = 0;
    for cloud in EACH {
        let data = Clouds::built_in().of(cloud);
        for product in [Product::ProvisioningAgent, Product::Connect] {
            let owned = |hosts: &[&str]| -> Vec<String> {
                hosts.iter().map(|host| (*host).to_owned()).collect()
            };
            let mut hosts: Vec<(u16, String)> = Vec::new();
            let mut add = |port, names: Vec<String>| {
                hosts.extend(names.into_iter().map(|name| (port, name)));
            };
            add(443, owned(product::sign_in_hosts(cloud)));
            add(443, owned(product::product_hosts(product, cloud)));
            add(80, owned(product::revocation_hosts(cloud)));
            if product == Product::ProvisioningAgent {
                add(443, product::registration_hosts(cloud, &tenant));
            }
            for (port, host) in hosts {
                asked += 1;
                assert!(
                    data.lets_through(product, port, &host),
                    "{cloud:?}, {product:?}: {host}, TCP {port}"
                );
            }
        }
    }
    assert!(asked > 20, "{asked}");
}

/// What the data say as this program has it no bundle carries: the agent's own constants must say the same.
#[test]
fn the_probes_ask_the_hosts_that_the_data_name() {
    let tenant = "3f0c8a4e-0000-0000-0000-000000000000"
        .parse()
        .expect("a tenant");
    for cloud in EACH {
        let probed = Clouds::built_in().of(cloud).probed.as_ref();
        let probed = probed.expect("the data of this program have them");
        for product in [Product::ProvisioningAgent, Product::Connect] {
            let data = probed.of(product);
            let names = |list: &[protocol::DomainName]| -> Vec<String> {
                list.iter().map(ToString::to_string).collect()
            };
            assert_eq!(names(&data.sign_in), product::sign_in_hosts(cloud));
            assert_eq!(names(&data.product), product::product_hosts(product, cloud));
            assert_eq!(names(&data.revocation), product::revocation_hosts(cloud));
            if product == Product::ProvisioningAgent {
                let below =
                    |zone: &protocol::DomainName| product::registers_below(zone.as_str(), &tenant);
                let hosts: Vec<String> = data.registration.iter().flat_map(below).collect();
                assert_eq!(hosts, product::registration_hosts(cloud, &tenant));
            }
        }
    }
}
