//! The names of lanes. They stand in plans, of which the log keeps the bytes: what a lane is of is read out of its name, here and nowhere else.

use protocol::step::Product;

/// What the lanes of agent groups begin with.
const AGENTS: &str = "agents.";

/// What the lanes of Connect entries begin with.
const CONNECT: &str = "connect.";

/// The lane of a group of provisioning agents.
pub(crate) fn of_group(name: &str) -> String {
    format!("{AGENTS}{name}")
}

/// The lane of a Connect entry.
pub(crate) fn of_entry(name: &str) -> String {
    format!("{CONNECT}{name}")
}

/// Whose a lane is: the product of it, and the name of its group or entry in the topology. `None` where the name is no lane's.
#[must_use]
pub fn whose(lane: &str) -> Option<(Product, &str)> {
    let agents = || Some((Product::ProvisioningAgent, lane.strip_prefix(AGENTS)?));
    let connect = || Some((Product::Connect, lane.strip_prefix(CONNECT)?));
    agents().or_else(connect)
}

/// The product that a lane is of. `None` where the name is no lane's.
#[must_use]
pub fn product(lane: &str) -> Option<Product> {
    whose(lane).map(|(product, _)| product)
}

/// Tells whether a lane is of that product.
#[must_use]
pub fn is_of(lane: &str, product: Product) -> bool {
    self::product(lane) == Some(product)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_tells_its_product_and_whose_it_is() {
        let group = of_group("hq");
        assert_eq!(group, "agents.hq");
        assert_eq!(whose(&group), Some((Product::ProvisioningAgent, "hq")));
        let entry = of_entry("agents.hq");
        assert_eq!(entry, "connect.agents.hq");
        assert_eq!(whose(&entry), Some((Product::Connect, "agents.hq")));
        assert!(is_of(&entry, Product::Connect) && !is_of(&entry, Product::ProvisioningAgent));
        assert_eq!(whose("hq"), None);
        assert!(!is_of("connect", Product::Connect));
    }
}
