//! What is known of Microsoft's clouds, as data (`deploy/data/clouds.toml`): which sign-ins work in each, how it is named to the
//! products, and which hosts the network must let through. By them the topology is read and people are told. Agents have constants for what
//! their setup is told and their probes ask; where a file says otherwise than the data of this program, the steps carry what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::OnceLock;

use protocol::step::{Cloud, Product, SignIn};
use protocol::{DomainName, EnvironmentName, ProbedHosts, limits};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::plan::{LanePlan, Plan, lane};
use crate::versions::{Certainty, Day};

/// Name of the file that takes the place of these data, beside the controller's state.
pub const FILE: &str = "clouds.toml";

/// A value, and where it is from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sourced {
    /// The value.
    pub value: String,
    /// Where it is from.
    pub source: String,
    /// How sure it is.
    pub certainty: Certainty,
}

/// Whether a way to sign in works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Works {
    /// It does.
    Yes,
    /// It does not: a topology that asks for it is refused.
    No,
    /// No source says so: it is planned, and the plan says it.
    Unverified,
}

/// What is known of a way to sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Way {
    /// Whether it works.
    pub works: Works,
    /// Where this is from.
    pub source: String,
    /// How sure it is.
    pub certainty: Certainty,
}

/// The ways to sign the provisioning agent in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIns {
    /// The way that is taken where a topology names none.
    pub chosen: SignIn,
    /// By an access token.
    pub token: Way,
    /// By user name and password.
    pub credential: Way,
    /// By a person at the wizard.
    pub wizard: Way,
}

impl SignIns {
    /// What is known of one of them.
    #[must_use]
    pub const fn way(&self, sign_in: SignIn) -> &Way {
        match sign_in {
            SignIn::Token => &self.token,
            SignIn::Credential => &self.credential,
            SignIn::Wizard => &self.wizard,
        }
    }
}

/// Hosts that a product must reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hosts {
    /// Which product.
    pub product: Product,
    /// TCP port.
    pub port: u16,
    /// Names; one that begins with `*.` stands for every name below that zone.
    pub names: Vec<String>,
    /// Where this is from.
    pub source: String,
    /// How sure it is.
    pub certainty: Certainty,
}

/// Which hosts the probes of a preflight ask (PF26, PF27, PF28).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probed {
    /// Where people and products sign in, TCP 443.
    pub sign_in: Vec<DomainName>,
    /// Of the provisioning agent, TCP 443.
    pub provisioning_agent: Vec<DomainName>,
    /// Of Connect, TCP 443.
    pub connect: Vec<DomainName>,
    /// Zones below which an agent of a tenant registers, TCP 443.
    pub registration: Vec<DomainName>,
    /// Of certificate revocation lists and answers, TCP 80.
    pub revocation: Vec<DomainName>,
    /// Where this is from.
    pub source: String,
    /// How sure it is.
    pub certainty: Certainty,
}

impl Probed {
    /// What a preflight of that product asks.
    #[must_use]
    pub fn of(&self, product: Product) -> ProbedHosts {
        let (own, registration) = match product {
            Product::ProvisioningAgent => (&self.provisioning_agent, self.registration.clone()),
            Product::Connect => (&self.connect, Vec::new()),
        };
        ProbedHosts {
            sign_in: self.sign_in.clone(),
            product: own.clone(),
            registration,
            revocation: self.revocation.clone(),
        }
    }

    /// Every name with its port, and for which product; of a zone one that lies in it.
    fn names(&self) -> impl Iterator<Item = (Product, u16, String)> {
        let both = [Product::ProvisioningAgent, Product::Connect];
        both.into_iter().flat_map(|product| {
            let ProbedHosts {
                sign_in,
                product: own,
                registration,
                revocation,
            } = self.of(product);
            let zones = registration
                .into_iter()
                .map(|zone| format!("tenant.registration.{zone}"));
            let hosts = sign_in.into_iter().chain(own).map(String::from);
            let hosts = hosts.chain(zones).map(|name| (443, name));
            let all = hosts.chain(revocation.into_iter().map(|name| (80, String::from(name))));
            let all: Vec<(u16, String)> = all.collect();
            all.into_iter()
                .map(move |(port, name)| (product, port, name))
        })
    }
}

/// Where Microsoft Graph of a cloud answers: a cloud may have several, each for tenants of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphHosts {
    /// The one that is taken where a topology names none.
    pub default: String,
    /// Each by the name that a topology gives it (`graph = "dod"`).
    pub hosts: BTreeMap<String, Sourced>,
}

impl GraphHosts {
    /// The host of that name, or the one that is taken where none is named.
    #[must_use]
    pub fn host(&self, name: Option<&str>) -> Option<&Sourced> {
        self.hosts.get(name.unwrap_or(&self.default))
    }

    /// Their names.
    #[must_use]
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.hosts.keys().map(String::as_str).collect();
        names.join(", ")
    }
}

/// What is known of one cloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudData {
    /// `ENVIRONMENTNAME` of the provisioning agent's setup (product facts 1.2, 1.7): letters and digits.
    pub environment: Sourced,
    /// `AzureInstance`, which a person sets for Connect's wizard where that cannot find out its cloud (product facts 2.8); absent
    /// where no source gives one.
    pub azure_instance: Option<Sourced>,
    /// Ways to sign in.
    pub sign_in: SignIns,
    /// Hosts.
    pub hosts: Vec<Hosts>,
    /// Hosts of Microsoft Graph; a file from before they stood in it has those of this program.
    #[serde(default)]
    pub graph: GraphHosts,
    /// Hosts that the probes ask; a file from before they stood in it has those of this program.
    #[serde(default)]
    pub probed: Option<Probed>,
}

impl CloudData {
    /// Refuses what no agent would take, and hosts that are asked and that the network is not to let through.
    fn names(&self, text: &str, cloud: Cloud, spans: &SpansOf) -> Result<(), String> {
        let cloud = cloud.as_str();
        if let Err(why) = self.environment.value.parse::<EnvironmentName>() {
            let at = line(text, &spans.environment.span());
            return Err(format!("line {at}: environment of {cloud}: {why}"));
        }
        let (Some(probed), Some(at)) = (&self.probed, &spans.probed) else {
            return Ok(());
        };
        let at = line(text, &at.span());
        let both = [Product::ProvisioningAgent, Product::Connect];
        let longest = both.map(|product| probed.of(product).longest());
        if let Some(count) = longest
            .iter()
            .max()
            .filter(|count| **count > limits::MAX_PROBED_HOSTS)
        {
            return Err(format!(
                "line {at}: probed of {cloud}: {count} hosts of one kind, and agents ask {} at most: leave out those that say nothing new",
                limits::MAX_PROBED_HOSTS
            ));
        }
        let mut names = probed.names();
        let shut = names.find(|(product, port, name)| !self.lets_through(*product, *port, name));
        match shut {
            None => Ok(()),
            Some((product, port, name)) => Err(format!(
                "line {at}: probed of {cloud}: {name} is asked of servers of the {}, and no row of hosts lets it through on TCP {port}: add it to one, or leave it out here",
                product.as_str()
            )),
        }
    }

    /// What the setup is told of its cloud, where that is something else than the data of this program, which agents have as a constant.
    #[must_use]
    pub fn environment_otherwise(&self, cloud: Cloud) -> Option<EnvironmentName> {
        let own = &Clouds::built_in().of(cloud).environment.value;
        let is = &self.environment.value;
        (is != own).then(|| is.parse().ok()).flatten()
    }

    /// Which hosts a preflight of that product asks, where those are others than the data of this program have.
    #[must_use]
    pub fn hosts_otherwise(&self, cloud: Cloud, product: Product) -> Option<Box<ProbedHosts>> {
        let of = |data: &Self| data.probed.as_ref().map(|probed| probed.of(product));
        let is = of(self)?;
        let own = of(Clouds::built_in().of(cloud));
        // In which order they are written says nothing.
        let sorted = |mut hosts: ProbedHosts| {
            let lists = [
                &mut hosts.sign_in,
                &mut hosts.product,
                &mut hosts.registration,
                &mut hosts.revocation,
            ];
            lists.into_iter().for_each(|list| list.sort());
            hosts
        };
        (Some(sorted(is.clone())) != own.map(sorted)).then(|| Box::new(is))
    }

    /// Whether a rule for these hosts lets a name through.
    #[must_use]
    pub fn lets_through(&self, product: Product, port: u16, host: &str) -> bool {
        let rows = self.hosts.iter();
        let mut names = rows
            .filter(|row| row.product == product && row.port == port)
            .flat_map(|row| &row.names);
        names.any(|name| match name.strip_prefix('*') {
            Some(zone) => host.ends_with(zone) && host.len() > zone.len(),
            None => name == host,
        })
    }
}

/// Every cloud has its part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct All {
    commercial: CloudData,
    us_government: CloudData,
    china: CloudData,
}

/// All that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clouds {
    /// Day on which somebody last compared the rows with their sources.
    pub checked_on: Day,
    cloud: All,
}

/// Where in the text those things stand that are looked at once more.
#[derive(Deserialize)]
struct Spans {
    cloud: BTreeMap<String, SpansOf>,
}

#[derive(Deserialize)]
struct SpansOf {
    environment: Spanned<IgnoredAny>,
    sign_in: SpansOfSignIn,
    hosts: Spanned<IgnoredAny>,
    graph: Option<Spanned<IgnoredAny>>,
    probed: Option<Spanned<IgnoredAny>>,
}

#[derive(Deserialize)]
struct SpansOfSignIn {
    chosen: Spanned<IgnoredAny>,
}

const EACH: [Cloud; 3] = [Cloud::Commercial, Cloud::UsGovernment, Cloud::China];

fn line(text: &str, at: &Range<usize>) -> usize {
    let before = text.get(..at.start).unwrap_or(text);
    before.matches('\n').count() + 1
}

impl Clouds {
    /// The rows that come with this program.
    ///
    /// # Panics
    /// Never: a test reads them.
    #[must_use]
    pub fn built_in() -> &'static Self {
        static BUILT_IN: OnceLock<Clouds> = OnceLock::new();
        BUILT_IN.get_or_init(|| {
            let text = include_str!("../../../deploy/data/clouds.toml");
            let (clouds, _) =
                Self::read(text).expect("the data of this program are read by a test");
            clouds
        })
    }

    /// Reads a document.
    ///
    /// # Errors
    /// What is wrong and why, with its line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut clouds, _) = Self::read(text)?;
        let own = Self::built_in();
        for cloud in EACH {
            let is = clouds.of_mut(cloud);
            if is.graph.hosts.is_empty() {
                is.graph.clone_from(&own.of(cloud).graph);
            }
            if is.probed.is_none() {
                is.probed.clone_from(&own.of(cloud).probed);
            }
        }
        Ok(clouds)
    }

    fn read(text: &str) -> Result<(Self, Spans), String> {
        let clouds: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        let spans: Spans = toml::from_str(text).map_err(|error| error.to_string())?;
        for cloud in EACH {
            let Some(spans) = spans.cloud.get(cloud.as_str()) else {
                continue;
            };
            let of = clouds.of(cloud);
            let chosen = of.sign_in.chosen;
            if of.sign_in.way(chosen).works == Works::No {
                return Err(format!(
                    "line {}: \"{}\" is chosen in {}, and does not work there: a topology that names no way would plan what fails; choose another",
                    line(text, &spans.sign_in.chosen.span()),
                    chosen.as_str(),
                    cloud.as_str()
                ));
            }
            let mut names = of.hosts.iter().flat_map(|row| &row.names);
            if let Some(name) = names.find(|name| !is_host(name)) {
                return Err(format!(
                    "line {}: hosts of {}: \"{name}\" is no name of a host, nor a zone such as \"*.contoso.com\"",
                    line(text, &spans.hosts.span()),
                    cloud.as_str()
                ));
            }
            of.names(text, cloud, spans)?;
            let Some(at) = &spans.graph else {
                continue;
            };
            let at = line(text, &at.span());
            if let Some((name, host)) = of.graph.hosts.iter().find(|(_, one)| {
                // A token goes there: to one host, and to no zone.
                !is_host(&one.value) || one.value.starts_with('*')
            }) {
                return Err(format!(
                    "line {at}: graph of {}: {name}: \"{}\" is no name of a host, such as \"graph.microsoft.com\"",
                    cloud.as_str(),
                    host.value
                ));
            }
            if of.graph.host(None).is_none() {
                return Err(format!(
                    "line {at}: \"{}\" is the default of graph of {}, and no host has that name; there are: {}",
                    of.graph.default,
                    cloud.as_str(),
                    of.graph.names()
                ));
            }
        }
        Ok((clouds, spans))
    }

    const fn of_mut(&mut self, cloud: Cloud) -> &mut CloudData {
        match cloud {
            Cloud::Commercial => &mut self.cloud.commercial,
            Cloud::UsGovernment => &mut self.cloud.us_government,
            Cloud::China => &mut self.cloud.china,
        }
    }

    /// What is known of one of them.
    #[must_use]
    pub const fn of(&self, cloud: Cloud) -> &CloudData {
        match cloud {
            Cloud::Commercial => &self.cloud.commercial,
            Cloud::UsGovernment => &self.cloud.us_government,
            Cloud::China => &self.cloud.china,
        }
    }

    /// What the network must let through for the servers of a plan, for whoever runs it: a line for each port of each product
    /// in each tenant.
    #[must_use]
    pub fn network(&self, plan: &Plan) -> Vec<String> {
        let wanted: BTreeSet<Wanted<'_>> = plan.lanes.iter().map(wanted).collect();
        let lines = wanted.into_iter().flat_map(|one| self.lines(one));
        lines.collect()
    }

    /// The same for the servers of one group or Connect entry, by its name: whoever a server belongs to asks for no other product's hosts.
    #[must_use]
    pub fn network_by_lane(&self, plan: &Plan) -> BTreeMap<String, Vec<String>> {
        let lines = |lane: (&String, &LanePlan)| (lane.0.clone(), self.lines(wanted(lane)));
        plan.lanes.iter().map(lines).collect()
    }

    /// A line for each port.
    fn lines(&self, (tenant, cloud, product): Wanted<'_>) -> Vec<String> {
        let rows = self.of(cloud).hosts.iter();
        let line = |row: &Hosts| {
            let mut line = format!(
                "{tenant} ({}), {}, TCP {}: {}",
                cloud.as_str(),
                product.as_str(),
                row.port,
                row.names.join(", ")
            );
            if row.certainty != Certainty::Vendor {
                write!(line, " [{}]", row.source).expect("writing to a String cannot fail");
            }
            line
        };
        rows.filter(|row| row.product == product)
            .map(line)
            .collect()
    }
}

/// Hosts of whom, of which cloud, for which product.
type Wanted<'a> = (&'a str, Cloud, Product);

fn wanted<'a>((name, lane): (&String, &'a LanePlan)) -> Wanted<'a> {
    let product = if lane::is_of(name, Product::Connect) {
        Product::Connect
    } else {
        Product::ProvisioningAgent
    };
    (lane.tenant_name.as_str(), lane.cloud, product)
}

/// A name of a host, or a zone with a star before it.
fn is_host(name: &str) -> bool {
    let name = name.strip_prefix("*.").unwrap_or(name);
    let label = |label: &str| {
        let mut signs = label.chars();
        !label.is_empty() && signs.all(|sign| sign.is_ascii_alphanumeric() || sign == '-')
    };
    name.contains('.') && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = include_str!("../../../deploy/data/clouds.toml");

    #[test]
    fn the_data_of_this_program_are_read_and_each_row_names_its_source() {
        let clouds = Clouds::built_in();
        for cloud in EACH {
            let of = clouds.of(cloud);
            let ways = [SignIn::Token, SignIn::Credential, SignIn::Wizard];
            let ways = ways.map(|way| of.sign_in.way(way).source.as_str());
            let hosts = of.hosts.iter().map(|row| row.source.as_str());
            let mut sources = hosts.chain(ways).chain([of.environment.source.as_str()]);
            assert!(sources.all(|source| !source.is_empty()), "{cloud:?}");
            assert!(of.hosts.iter().all(|row| !row.names.is_empty()));
            assert!(of.graph.host(None).is_some(), "{cloud:?}");
            let mut graph = of.graph.hosts.values();
            assert!(graph.all(|one| !one.source.is_empty()), "{cloud:?}");
        }
    }

    #[test]
    fn a_document_with_a_slip_is_refused_with_its_line_and_the_reason() {
        for (was, is, words) in [
            (
                "\"2026-10-06\"",
                "\"yesterday\"",
                &["yesterday", "is not a day"][..],
            ),
            (
                "chosen     = \"wizard\"",
                "chosen     = \"wizzard\"",
                &["wizzard", "line "],
            ),
            (
                "chosen     = \"wizard\"",
                "chosen     = \"token\"",
                &["token", "us-government", "does not work"],
            ),
            ("works = \"no\"", "works = \"maybe\"", &["maybe", "line "]),
            ("port      = 443", "port      = 4430000", &["line "]),
            ("[cloud.china]", "[cloud.chine]", &["environment", "line "]),
            (
                "\"*.msappproxy.us\"",
                "\"https://x/\"",
                &["https://x/", "no name of a host"],
            ),
            (
                "\"graph.microsoft.us\"",
                "\"https://graph.microsoft.us\"",
                &[
                    "https://graph.microsoft.us",
                    "no name of a host",
                    "us-government",
                ],
            ),
            (
                "\"graph.microsoft.com\"",
                "\"*.microsoft.com\"",
                &["*.microsoft.com", "no name of a host", "commercial"],
            ),
            (
                "default = \"gcc-high\"",
                "default = \"gcc\"",
                &["gcc", "no host has that name", "dod, gcc-high"],
            ),
            (
                "\"AzureUSGovernment\"",
                "\"Azure US\"",
                &["environment of us-government", "letters and digits"],
            ),
            (
                "\"download.msappproxy.us\"",
                "\"download.elsewhere.test\"",
                &[
                    "download.elsewhere.test",
                    "no row of hosts lets it through on TCP 443",
                ],
            ),
            (
                "\"download.msappproxy.us\"",
                "\"*.msappproxy.us\"",
                &["*.msappproxy.us", "line "],
            ),
            (
                "[cloud.china.sign_in]",
                "[cloud.china.signin]",
                &["signin", "line "],
            ),
        ] {
            let text = TEXT.replacen(was, is, 1);
            assert_ne!(text, TEXT, "{was}");
            let said = Clouds::parse(&text).unwrap_err();
            for word in words {
                assert!(said.contains(word), "{word}: {said}");
            }
        }
        // The line is the one on which it stands.
        let text = TEXT.replacen("chosen     = \"wizard\"", "chosen     = \"token\"", 1);
        let at = text.lines().enumerate();
        let (at, _) = at
            .into_iter()
            .filter(|(_, line)| line.starts_with("chosen"))
            .nth(1)
            .unwrap();
        let said = Clouds::parse(&text).unwrap_err();
        assert!(said.starts_with(&format!("line {}:", at + 1)), "{said}");
    }

    /// One that somebody corrected before hosts of Microsoft Graph stood in it.
    #[test]
    fn a_file_without_hosts_of_graph_is_read_and_has_those_of_this_program() {
        let mut text = String::new();
        let mut skips = false;
        for line in TEXT.lines() {
            if line.starts_with('[') {
                skips = line.contains(".graph");
            }
            if !skips {
                text.push_str(line);
                text.push('\n');
            }
        }
        assert!(!text.contains("graph.microsoft.us"));
        let clouds = Clouds::parse(&text).unwrap();
        let host = |name| {
            let graph = &clouds.of(Cloud::UsGovernment).graph;
            graph.host(name).map(|one| one.value.as_str())
        };
        assert_eq!(host(None), Some("graph.microsoft.us"));
        assert_eq!(host(Some("dod")), Some("dod-graph.microsoft.us"));
        assert_eq!(host(Some("other")), None);
    }

    /// What a corrected file says is what agents are told; of what it says as this program does they are told nothing, so that those of an
    /// earlier release take it.
    #[test]
    fn what_a_file_says_otherwise_goes_to_the_agents_and_nothing_else() {
        let same = Clouds::parse(TEXT).unwrap();
        for cloud in EACH {
            assert_eq!(same.of(cloud).environment_otherwise(cloud), None);
            for product in [Product::ProvisioningAgent, Product::Connect] {
                assert_eq!(same.of(cloud).hosts_otherwise(cloud, product), None);
            }
        }
        let text = TEXT.replacen("AzureChinaCloud", "AzureChina", 1);
        let clouds = Clouds::parse(&text).unwrap();
        let told = |cloud| clouds.of(cloud).environment_otherwise(cloud);
        assert_eq!(told(Cloud::China), "AzureChina".parse().ok());
        assert_eq!(told(Cloud::Commercial), None);
        let text = TEXT.replace("login.partner.microsoftonline.cn", "login.elsewhere.test");
        let clouds = Clouds::parse(&text).unwrap();
        for product in [Product::ProvisioningAgent, Product::Connect] {
            let hosts = |cloud| clouds.of(cloud).hosts_otherwise(cloud, product);
            let told = hosts(Cloud::China).unwrap();
            assert_eq!(told.sign_in[0].as_str(), "login.elsewhere.test");
            assert_eq!(hosts(Cloud::UsGovernment), None);
        }
    }

    #[test]
    fn a_file_without_probed_hosts_is_read_and_has_those_of_this_program() {
        let mut text = String::new();
        let mut skips = false;
        for line in TEXT.lines() {
            if line.starts_with('[') {
                skips = line.contains(".probed");
            }
            if !skips {
                text.push_str(line);
                text.push('\n');
            }
        }
        assert!(!text.contains("probed]"));
        let clouds = Clouds::parse(&text).unwrap();
        for cloud in EACH {
            let own = Clouds::built_in().of(cloud);
            assert_eq!(clouds.of(cloud).probed, own.probed, "{cloud:?}");
        }
    }

    #[test]
    fn a_zone_lets_its_names_through_and_not_itself() {
        let of = Clouds::built_in().of(Cloud::UsGovernment);
        let through = |host| of.lets_through(Product::ProvisioningAgent, 443, host);
        assert!(through("x.msappproxy.us") && through("login.windows.us"));
        assert!(!through("msappproxy.us") && !through("evilmsappproxy.us"));
        assert!(!through("x.login.windows.us"));
        assert!(!of.lets_through(Product::ProvisioningAgent, 80, "x.msappproxy.us"));
    }
}
