//! The configuration file of the provisioning agent's service, as text (product facts 1.7 [P], 1.11 [R]): what it says of
//! proxy and FIPS policy, and how it must read to say something else. Everything else in it stays as it is, to the byte.

use std::ops::Range;

use protocol::options::{ProxyAddress, ServiceOptions};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

const MARK: &str = "\u{feff}";

/// An element, by the bytes that it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Element {
    /// Its start tag, or the whole where it is empty.
    tag: Range<usize>,
    /// The whole.
    all: Range<usize>,
}

impl Element {
    fn is_empty(&self) -> bool {
        self.tag == self.all
    }
}

/// Where things stand in the text, and what they say.
#[derive(Debug, Default)]
struct Outline {
    /// Where `</configuration>` begins.
    end: Option<usize>,
    net: Option<Element>,
    default_proxy: Option<Element>,
    /// The element `proxy` within it.
    proxy: Option<Element>,
    runtime: Option<Element>,
    fips: Option<Element>,
    /// `enabled` of `defaultProxy` is not false.
    proxy_enabled: bool,
    proxy_address: Option<String>,
    fips_enabled: Option<String>,
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Result<Option<String>, String> {
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        // .NET tells upper and lower case apart.
        if attribute.key.as_ref() == name.as_bytes() {
            let value = std::str::from_utf8(&attribute.value).map_err(|error| error.to_string())?;
            return Ok(Some(value.trim().to_owned()));
        }
    }
    Ok(None)
}

const NET: &[&str] = &["configuration", "system.net"];
const DEFAULT_PROXY: &[&str] = &["configuration", "system.net", "defaultProxy"];
const PROXY: &[&str] = &["configuration", "system.net", "defaultProxy", "proxy"];
const RUNTIME: &[&str] = &["configuration", "runtime"];
const FIPS: &[&str] = &["configuration", "runtime", "enforceFIPSPolicy"];

impl Outline {
    fn of(text: &str) -> Result<Self, String> {
        let mut outline = Self::default();
        let mut reader = Reader::from_str(text);
        let mut path: Vec<(String, Range<usize>)> = Vec::new();
        let position = |reader: &Reader<&[u8]>| {
            usize::try_from(reader.buffer_position()).map_err(|error| error.to_string())
        };
        loop {
            let from = position(&reader)?;
            let event = reader.read_event().map_err(|error| error.to_string())?;
            let to = position(&reader)?;
            match event {
                Event::Start(tag) => {
                    path.push((name(&tag)?, from..to));
                    outline.tells(&path, &tag)?;
                }
                Event::Empty(tag) => {
                    path.push((name(&tag)?, from..to));
                    outline.tells(&path, &tag)?;
                    outline.ends(&path, to);
                    path.pop();
                }
                Event::End(_) => {
                    if path.len() == 1 && path[0].0 == "configuration" {
                        outline.end = Some(from);
                    }
                    outline.ends(&path, to);
                    path.pop();
                }
                Event::Eof if path.is_empty() => break,
                Event::Eof => return Err("it ends in the middle of an element".to_owned()),
                Event::Text(_)
                | Event::CData(_)
                | Event::Comment(_)
                | Event::Decl(_)
                | Event::PI(_)
                | Event::DocType(_)
                | Event::GeneralRef(_) => {}
            }
        }
        Ok(outline)
    }

    /// A tag begins at the end of the path.
    fn tells(
        &mut self,
        path: &[(String, Range<usize>)],
        tag: &BytesStart<'_>,
    ) -> Result<(), String> {
        if is(path, DEFAULT_PROXY) {
            let enabled = attribute(tag, "enabled")?;
            self.proxy_enabled = !enabled.is_some_and(|word| word.eq_ignore_ascii_case("false"));
        } else if is(path, PROXY) {
            self.proxy_address = attribute(tag, "proxyaddress")?;
        } else if is(path, FIPS) {
            self.fips_enabled = attribute(tag, "enabled")?;
        }
        Ok(())
    }

    /// The element at the end of the path ends.
    fn ends(&mut self, path: &[(String, Range<usize>)], to: usize) {
        let Some((_, tag)) = path.last() else { return };
        let element = Element {
            tag: tag.clone(),
            all: tag.start..to,
        };
        let place = if is(path, NET) {
            &mut self.net
        } else if is(path, DEFAULT_PROXY) {
            &mut self.default_proxy
        } else if is(path, PROXY) {
            &mut self.proxy
        } else if is(path, RUNTIME) {
            &mut self.runtime
        } else if is(path, FIPS) {
            &mut self.fips
        } else {
            return;
        };
        place.get_or_insert(element);
    }
}

fn name(tag: &BytesStart<'_>) -> Result<String, String> {
    let name = std::str::from_utf8(tag.name().into_inner()).map_err(|error| error.to_string())?;
    Ok(name.to_owned())
}

fn is(path: &[(String, Range<usize>)], wanted: &[&str]) -> bool {
    path.iter()
        .map(|(name, _)| name.as_str())
        .eq(wanted.iter().copied())
}

/// What the text says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Of proxy and FIPS policy, as far as it can be read.
    pub options: ServiceOptions,
    /// A proxy of another form than the product's page shows (another scheme, no port, a path, a user), as it stands there: somebody
    /// set it by hand, and it is in use.
    pub other_proxy: Option<String>,
}

impl Said {
    /// The other proxy in a few words, without what a user may have written into it.
    #[must_use]
    pub fn other_proxy_shown(&self) -> Option<String> {
        let address = self.other_proxy.as_deref()?;
        Some(if address.contains('@') {
            "a proxy with a user in its address, which Entrain does not read".to_owned()
        } else {
            let short: String = address.chars().take(80).collect();
            format!("a proxy that Entrain does not read, \"{short}\"")
        })
    }
}

/// What the text says of proxy and FIPS policy, as far as it can be read.
///
/// # Errors
/// Why it is no XML.
pub fn read(text: &str) -> Result<ServiceOptions, String> {
    Ok(said(text)?.options)
}

/// What the text says of proxy and FIPS policy, and of a proxy that is not read.
///
/// # Errors
/// Why it is no XML.
pub fn said(text: &str) -> Result<Said, String> {
    let outline = Outline::of(text.strip_prefix(MARK).unwrap_or(text))?;
    let address = outline.proxy_address.filter(|_| outline.proxy_enabled);
    let proxy = address.as_deref().and_then(|address| address.parse().ok());
    let other = address.filter(|address| proxy.is_none() && !address.is_empty());
    Ok(Said {
        options: ServiceOptions {
            proxy,
            fips_exempt: outline
                .fips_enabled
                .is_some_and(|word| word.eq_ignore_ascii_case("false")),
            ..ServiceOptions::default()
        },
        other_proxy: other,
    })
}

/// The text as it must read to have the options that are named.
///
/// # Errors
/// Why it is no configuration file.
pub fn edit(text: &str, wanted: &ServiceOptions) -> Result<String, String> {
    let (mark, text) = match text.strip_prefix(MARK) {
        Some(rest) => (MARK, rest),
        None => ("", text),
    };
    let seen = read(text)?;
    let line = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut text = text.to_owned();
    if let Some(proxy) = &wanted.proxy
        && seen.proxy.as_ref() != Some(proxy)
    {
        let outline = Outline::of(&text)?;
        text = match (&outline.proxy, &outline.default_proxy) {
            // What else is said there, such as a list of hosts that are reached directly, stays.
            (Some(there), Some(around)) => {
                let inner = set_attribute(&text, there, "proxyaddress", proxy.as_str());
                set_attribute(&inner, around, "enabled", "true")
            }
            (None, Some(around)) if !around.is_empty() => {
                let lines = format!("{line}      {}", proxy_line(proxy));
                let mut inner = text.clone();
                inner.insert_str(around.tag.end, &lines);
                set_attribute(&inner, around, "enabled", "true")
            }
            (_, around) => {
                let lines = [
                    "<defaultProxy enabled=\"true\" useDefaultCredentials=\"true\">".to_owned(),
                    format!("  {}", proxy_line(proxy)),
                    "</defaultProxy>".to_owned(),
                ];
                let net = ("system.net", outline.net.as_ref());
                put(&text, line, &lines, net, around.as_ref(), outline.end)?
            }
        };
    }
    if wanted.fips_exempt && !seen.fips_exempt {
        let lines = ["<enforceFIPSPolicy enabled=\"false\"/>".to_owned()];
        let outline = Outline::of(&text)?;
        text = put(
            &text,
            line,
            &lines,
            ("runtime", outline.runtime.as_ref()),
            outline.fips.as_ref(),
            outline.end,
        )?;
    }
    Ok(format!("{mark}{text}"))
}

fn proxy_line(proxy: &ProxyAddress) -> String {
    format!("<proxy usesystemdefault=\"true\" proxyaddress=\"{proxy}\" bypassonlocal=\"true\" />")
}

/// Sets an attribute in the start tag of an element; the element begins where it did.
fn set_attribute(text: &str, element: &Element, name: &str, value: &str) -> String {
    let (start, end) = (element.tag.start, element.tag.end);
    let tag = &text[start..end];
    let mut new = text.to_owned();
    for (at, _) in tag.match_indices(name) {
        let before = tag[..at].chars().next_back();
        let rest = tag[at + name.len()..].trim_start();
        let Some(rest) = rest.strip_prefix('=').map(str::trim_start) else {
            continue;
        };
        let quote = rest
            .chars()
            .next()
            .filter(|sign| matches!(sign, '"' | '\''));
        let (Some(quote), true) = (quote, before.is_some_and(char::is_whitespace)) else {
            continue;
        };
        let from = tag.len() - rest.len() + 1;
        let Some(length) = tag[from..].find(quote) else {
            continue;
        };
        new.replace_range(start + from..start + from + length, value);
        return new;
    }
    let close = if tag.ends_with("/>") { 2 } else { 1 };
    let kept = tag[..tag.len() - close].trim_end().len();
    new.insert_str(start + kept, &format!(" {name}=\"{value}\""));
    new
}

/// Puts an element in the place of the one that is there, else into its parent, else with its parent before the end.
fn put(
    text: &str,
    line: &str,
    lines: &[String],
    (parent, there): (&str, Option<&Element>),
    before: Option<&Element>,
    end: Option<usize>,
) -> Result<String, String> {
    let within = |indent: &str| {
        let lines: Vec<String> = lines.iter().map(|text| format!("{indent}{text}")).collect();
        lines.join(line)
    };
    let splice = |range: Range<usize>, new: &str| {
        let mut text = text.to_owned();
        text.replace_range(range, new);
        text
    };
    if let Some(before) = before {
        return Ok(splice(before.all.clone(), within("    ").trim_start()));
    }
    if let Some(parent) = there.filter(|parent| !parent.is_empty()) {
        let new = format!("{line}{}", within("    "));
        return Ok(splice(parent.tag.end..parent.tag.end, &new));
    }
    let whole = format!("<{parent}>{line}{}{line}  </{parent}>", within("    "));
    match (there, end) {
        (Some(empty), _) => Ok(splice(empty.all.clone(), &whole)),
        (None, Some(end)) => Ok(splice(end..end, &format!("  {whole}{line}"))),
        (None, None) => Err("it has no element <configuration>".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: &str = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<configuration>\r\n  <!-- a remark -->\r\n  <appSettings>\r\n    <add key=\"a\" value=\"b &amp; c\" />\r\n  </appSettings>\r\n  <runtime>\r\n    <gcServer enabled=\"true\"/>\r\n  </runtime>\r\n</configuration>\r\n";

    fn wanted() -> ServiceOptions {
        ServiceOptions {
            proxy: Some("http://proxy.contoso.com:8080".parse().unwrap()),
            fips_exempt: true,
            ..ServiceOptions::default()
        }
    }

    #[test]
    fn what_is_put_in_is_read_back_and_the_rest_stays_to_the_byte() {
        let edited = edit(PLAIN, &wanted()).unwrap();
        assert_eq!(read(&edited).unwrap(), wanted());
        assert_eq!(edit(&edited, &wanted()).unwrap(), edited, "once is enough");
        assert!(!edited.replace("\r\n", "").contains('\n'));
        let mut rest = edited.clone();
        for part in [
            "  <system.net>\r\n    <defaultProxy enabled=\"true\" useDefaultCredentials=\"true\">\r\n      <proxy usesystemdefault=\"true\" proxyaddress=\"http://proxy.contoso.com:8080\" bypassonlocal=\"true\" />\r\n    </defaultProxy>\r\n  </system.net>\r\n",
            "\r\n    <enforceFIPSPolicy enabled=\"false\"/>",
        ] {
            assert!(rest.contains(part), "{rest}");
            rest = rest.replace(part, "");
        }
        assert_eq!(rest, PLAIN);
    }

    #[test]
    fn another_proxy_and_another_word_on_fips_are_replaced() {
        let other = "<configuration>\n  <system.net>\n    <settings/>\n    <defaultProxy enabled=\"false\"><proxy proxyaddress=\"http://old:1\"/></defaultProxy>\n  </system.net>\n  <runtime><enforceFIPSPolicy enabled=\"true\"/></runtime>\n</configuration>\n";
        assert_eq!(read(other).unwrap(), ServiceOptions::default());
        let edited = edit(other, &wanted()).unwrap();
        assert_eq!(read(&edited).unwrap(), wanted());
        assert!(edited.contains("<settings/>") && !edited.contains("old:1"));
        for empty in [
            "<configuration><system.net/><runtime/></configuration>",
            "<configuration></configuration>",
        ] {
            assert_eq!(read(&edit(empty, &wanted()).unwrap()).unwrap(), wanted());
        }
    }

    /// A hand may have written what the page does not show: it is in use, so it is told and never read as none.
    #[test]
    fn a_proxy_of_another_form_is_told_and_kept() {
        let with = |address: &str, enabled: &str| {
            format!(
                "<configuration><system.net><defaultProxy enabled=\"{enabled}\"><proxy proxyaddress=\"{address}\"/></defaultProxy></system.net></configuration>"
            )
        };
        for other in [
            "https://proxy.contoso.com:8443",
            "http://proxy.contoso.com",
            "http://proxy.contoso.com:8080/path",
        ] {
            let text = with(other, "true");
            let said = said(&text).unwrap();
            assert_eq!(said.options, ServiceOptions::default(), "{other}");
            assert_eq!(said.other_proxy.as_deref(), Some(other));
            assert!(said.other_proxy_shown().unwrap().contains(other));
            // What else is set leaves it where it is.
            let fips = ServiceOptions {
                fips_exempt: true,
                ..ServiceOptions::default()
            };
            assert!(edit(&text, &fips).unwrap().contains(other));
            assert!(
                !edit(&text, &wanted())
                    .unwrap()
                    .contains(&format!("\"{other}\""))
            );
        }
        let user = said(&with("http://user:word@proxy.contoso.com:8080", "true")).unwrap();
        let shown = user.other_proxy_shown().unwrap();
        assert!(!shown.contains("word"), "{shown}");
        for none in [
            with("http://proxy.contoso.com:8080", "true"),
            with("https://proxy.contoso.com:8443", "false"),
            with("", "true"),
            PLAIN.to_owned(),
        ] {
            assert_eq!(said(&none).unwrap().other_proxy, None, "{none}");
        }
    }

    #[test]
    fn what_stands_elsewhere_is_not_taken_for_it() {
        let elsewhere = "<configuration><location><system.net><defaultProxy><proxy proxyaddress=\"http://old:1\"/></defaultProxy></system.net></location><!-- <runtime><enforceFIPSPolicy enabled=\"false\"/></runtime> --></configuration>";
        assert_eq!(read(elsewhere).unwrap(), ServiceOptions::default());
        assert_eq!(
            read(&edit(elsewhere, &wanted()).unwrap()).unwrap(),
            wanted()
        );
    }

    #[test]
    fn what_is_no_configuration_is_left_alone() {
        for bad in [
            "",
            "<configuration>",
            "<configuration></other>",
            "<other></other>",
            "<configuration/>",
        ] {
            assert!(edit(bad, &wanted()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_in_the_file_stays_in_it(
            names in prop::collection::vec("[a-z]{1,6}", 0..6),
            (proxy, fips) in any::<(bool, bool)>(),
        ) {
            let inner: String = names.iter().map(|name| format!("  <{name} a=\"1\">x</{name}>\n")).collect();
            let text = format!("<configuration>\n{inner}</configuration>\n");
            let wanted = ServiceOptions {
                proxy: proxy.then(|| "http://proxy:80".parse().unwrap()),
                fips_exempt: fips,
                ..ServiceOptions::default()
            };
            let edited = edit(&text, &wanted).unwrap();
            prop_assert_eq!(read(&edited).unwrap(), wanted);
            prop_assert!(edited.contains(&inner));
        }
    }
}
