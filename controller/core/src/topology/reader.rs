//! Walks a TOML table and keeps every finding, so that an operator sees all of them at once. A key that nobody asked for
//! is a finding.

use std::ops::Range;
use std::str::FromStr;

use protocol::{
    DatabaseName, DomainName, GmsaName, ProxyAddress, SqlServerName, TargetId, TenantId, Version,
};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::finding::{Finding, Severity, Source, nearest};

/// A value with its place in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Its bytes in the text.
    pub range: Range<usize>,
}

/// What can be written as text in quotes, with an example for whoever wrote something else.
pub(crate) trait Written: FromStr<Err: std::fmt::Display> {
    /// What to write where `text` was found; `None` when there was no text at all.
    fn example(text: Option<&str>) -> String;
}

macro_rules! written {
    ($($kind:ty => $example:literal),+ $(,)?) => {
        $(impl Written for $kind {
            fn example(_: Option<&str>) -> String {
                $example.to_owned()
            }
        })+
    };
}

written!(
    String => "…",
    Version => "1.1.1586.0",
    TenantId => "3f0c8a4e-0000-0000-0000-000000000000",
    DomainName => "corp.contoso.com",
    GmsaName => "svcEntraSync$",
    ProxyAddress => "http://proxy.contoso.com:8080",
    SqlServerName => "sql-01.corp.contoso.com\\\\SYNC",
    DatabaseName => "ADSync",
    TargetId => "ams-sync-01.corp.contoso.com",
);

/// Findings and their document.
#[derive(Debug)]
pub(crate) struct Remarks<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) findings: Vec<Finding>,
}

impl Remarks<'_> {
    /// Notes what is no TOML. Gives true when the text has such a place; [`Remarks::settle`] is due after the rest was read.
    pub(crate) fn syntax(&mut self, errors: Vec<toml::de::Error>) -> bool {
        for error in &errors {
            let message = error.message().trim();
            let fix = if message.starts_with("duplicate key") {
                "keep one of the two"
            } else {
                "correct this line: a text stands in quotes, a list in [ ], a table under its own [name]"
            };
            self.error(&error.span().unwrap_or(0..0), message.to_owned(), fix);
        }
        !errors.is_empty()
    }

    /// Drops what was remarked on text that only looks wrong because of a syntax error before it: the rest of that line,
    /// or of the table when the line is its header. The first `syntax` findings are the syntax errors.
    pub(crate) fn settle(&mut self, syntax: usize) {
        let source = &self.source;
        let is_header = |text: &str| text.trim_start().starts_with('[');
        let broken: Vec<Range<usize>> = self.findings[..syntax]
            .iter()
            .map(|finding| {
                let first = finding.place.line;
                let end = if source.line(first).is_some_and(is_header) {
                    let behind = (first + 1..).map_while(|line| Some((line, source.line(line)?)));
                    let mut headers = behind.filter(|(_, text)| is_header(text));
                    headers.next().map_or(usize::MAX, |(line, _)| line)
                } else {
                    first + 1
                };
                first..end
            })
            .collect();
        let mut index = 0;
        self.findings.retain(|finding| {
            index += 1;
            index <= syntax
                || !broken
                    .iter()
                    .any(|lines| lines.contains(&finding.place.line))
        });
    }

    pub(crate) fn error(
        &mut self,
        range: &Range<usize>,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.add(Severity::Error, range, what, fix);
    }

    fn add(
        &mut self,
        severity: Severity,
        range: &Range<usize>,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let place = self.source.place(range);
        self.findings.push(Finding {
            place,
            severity,
            what: what.into(),
            fix: fix.into(),
        });
    }
}

/// One table, of which keys are taken until none is left.
pub(crate) struct Table<'t, 'i> {
    name: String,
    table: &'t DeTable<'i>,
    range: Range<usize>,
    asked: Vec<&'static str>,
}

impl<'t, 'i> Table<'t, 'i> {
    pub(crate) fn new(
        name: impl Into<String>,
        table: &'t DeTable<'i>,
        range: Range<usize>,
    ) -> Self {
        Self {
            name: name.into(),
            table,
            range,
            asked: Vec::new(),
        }
    }

    pub(crate) const fn range(&self) -> &Range<usize> {
        &self.range
    }

    /// Whether a list is there that has nothing in it.
    pub(crate) fn is_empty_list(&self, key: &str) -> bool {
        let value = self.table.get(key);
        value.is_some_and(
            |value| matches!(value.get_ref(), DeValue::Array(items) if items.is_empty()),
        )
    }

    fn get(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'i>>> {
        self.asked.push(key);
        self.table.get(key)
    }

    /// A text that parses into `T`.
    pub(crate) fn parse<T: Written>(
        &mut self,
        key: &'static str,
        remarks: &mut Remarks<'_>,
    ) -> Option<At<T>> {
        let value = self.get(key)?;
        parse_value(value, key, remarks)
    }

    /// A text.
    pub(crate) fn text(
        &mut self,
        key: &'static str,
        remarks: &mut Remarks<'_>,
    ) -> Option<At<String>> {
        self.parse(key, remarks)
    }

    /// A whole number that is not negative.
    pub(crate) fn number(
        &mut self,
        key: &'static str,
        remarks: &mut Remarks<'_>,
    ) -> Option<At<u32>> {
        let value = self.get(key)?;
        let number = match value.get_ref() {
            DeValue::Integer(integer) => {
                u32::from_str_radix(integer.as_str(), integer.radix()).ok()
            }
            DeValue::String(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => None,
        };
        if number.is_none() {
            remarks.error(
                &value.span(),
                format!("{key} must be a whole number"),
                format!("write {key} = 2"),
            );
        }
        number.map(|number| At {
            value: number,
            range: value.span(),
        })
    }

    /// A truth value.
    pub(crate) fn flag(&mut self, key: &'static str, remarks: &mut Remarks<'_>) -> Option<bool> {
        let value = self.get(key)?;
        if let DeValue::Boolean(flag) = value.get_ref() {
            return Some(*flag);
        }
        remarks.error(
            &value.span(),
            format!("{key} must be true or false"),
            format!("write {key} = true"),
        );
        None
    }

    /// A list of texts that parse into `T`; one that does not is a finding and left out.
    pub(crate) fn list<T: Written>(
        &mut self,
        key: &'static str,
        remarks: &mut Remarks<'_>,
    ) -> Vec<At<T>> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        parse_list(value, key, remarks)
    }

    /// A list of tables.
    pub(crate) fn tables(&mut self, key: &'static str, remarks: &mut Remarks<'_>) -> Vec<Self> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        let DeValue::Array(items) = value.get_ref() else {
            remarks.error(
                &value.span(),
                format!("{key} must be a list of tables"),
                format!("write {key} = [{{ … }}]"),
            );
            return Vec::new();
        };
        let table = |item: &'t Spanned<DeValue<'i>>| match item.get_ref() {
            DeValue::Table(table) => Some(Table::new(key, table, item.span())),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => {
                remarks.error(
                    &item.span(),
                    format!("an entry of {key} must be a table"),
                    format!("write {key} = [{{ … }}]"),
                );
                None
            }
        };
        items.iter().filter_map(table).collect()
    }

    /// A table below this one.
    pub(crate) fn table(&mut self, key: &'static str, remarks: &mut Remarks<'_>) -> Option<Self> {
        let value = self.get(key)?;
        let name = if self.name.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.name)
        };
        as_table(value, name, remarks)
    }

    /// The named tables below a key: `[key.NAME]`, each with the place of its name.
    pub(crate) fn named(
        &mut self,
        key: &'static str,
        remarks: &mut Remarks<'_>,
    ) -> Vec<(At<String>, Self)> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        let Some(below) = as_table(value, key.to_owned(), remarks) else {
            return Vec::new();
        };
        let mut named = Vec::new();
        for (name, value) in below.table {
            let at = At {
                value: name.get_ref().to_string(),
                range: name.span(),
            };
            if let Some(table) = as_table(value, format!("{key}.{}", at.value), remarks) {
                named.push((at, table));
            }
        }
        named
    }

    /// Every text below a key, by names of a kind: `key = { name = "text" }`.
    pub(crate) fn texts<K: Written>(
        &mut self,
        key: &'static str,
        remarks: &mut Remarks<'_>,
    ) -> Vec<(K, String)> {
        let text = |value: &Spanned<DeValue<'_>>, name: &str, remarks: &mut Remarks<'_>| {
            parse_value(value, name, remarks).map(|at: At<String>| at.value)
        };
        self.entries(key, remarks, text)
    }

    /// Every word below a key, by names of a kind: `key = { name = "word" }`, each with its place.
    pub(crate) fn words<K: Written, V: Written>(
        &mut self,
        key: &'static str,
        remarks: &mut Remarks<'_>,
    ) -> Vec<(K, At<V>)> {
        self.entries(key, remarks, parse_value)
    }

    /// Every list of texts below a key, by names of a kind: `key = { name = ["text"] }`.
    pub(crate) fn lists<K: Written, V: Written>(
        &mut self,
        key: &'static str,
        remarks: &mut Remarks<'_>,
    ) -> Vec<(K, Vec<V>)> {
        let list = |value: &Spanned<DeValue<'_>>, name: &str, remarks: &mut Remarks<'_>| {
            let items: Vec<At<V>> = parse_list(value, name, remarks);
            Some(items.into_iter().map(|at| at.value).collect())
        };
        self.entries(key, remarks, list)
    }

    fn entries<K: Written, V>(
        &mut self,
        key: &'static str,
        remarks: &mut Remarks<'_>,
        read: impl Fn(&Spanned<DeValue<'_>>, &str, &mut Remarks<'_>) -> Option<V>,
    ) -> Vec<(K, V)> {
        let Some(below) = self.table(key, remarks) else {
            return Vec::new();
        };
        let mut entries = Vec::new();
        for (name, value) in below.table {
            let key = parse_key(name, &below.name, remarks);
            let value = read(value, &below.name, remarks);
            entries.extend(key.zip(value));
        }
        entries
    }

    /// All keys of this table that are not in `known`, as texts.
    pub(crate) fn finish(self, remarks: &mut Remarks<'_>) {
        for key in self.table.keys() {
            let word: &str = key.get_ref();
            if self.asked.contains(&word) {
                continue;
            }
            let known = self.asked.join(", ");
            let fix = match nearest(word, self.asked.iter().copied()) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("known here: {known}"),
            };
            let place = if self.name.is_empty() {
                "the document".to_owned()
            } else {
                format!("[{}]", self.name)
            };
            remarks.error(
                &key.span(),
                format!("unknown key \"{word}\" in {place}"),
                fix,
            );
        }
    }
}

fn as_table<'t, 'i>(
    value: &'t Spanned<DeValue<'i>>,
    name: String,
    remarks: &mut Remarks<'_>,
) -> Option<Table<'t, 'i>> {
    if let DeValue::Table(table) = value.get_ref() {
        return Some(Table::new(name, table, value.span()));
    }
    let fix = match name.as_str() {
        "tenant" | "site" | "domain" | "agents" | "connect" => format!("write [{name}.NAME]"),
        _ => format!("write [{name}]"),
    };
    remarks.error(&value.span(), format!("{name} must be a table"), fix);
    None
}

fn parse_key<T: Written>(
    name: &Spanned<std::borrow::Cow<'_, str>>,
    key: &str,
    remarks: &mut Remarks<'_>,
) -> Option<T> {
    let text: &str = name.get_ref();
    let parsed = text.parse();
    if let Err(error) = &parsed {
        let fix = format!("write \"{}\"", T::example(Some(text)));
        remarks.error(&name.span(), format!("{key}: {error}"), fix);
    }
    parsed.ok()
}

fn parse_list<T: Written>(
    value: &Spanned<DeValue<'_>>,
    key: &str,
    remarks: &mut Remarks<'_>,
) -> Vec<At<T>> {
    let DeValue::Array(items) = value.get_ref() else {
        remarks.error(
            &value.span(),
            format!("{key} must be a list"),
            format!("write {key} = [\"…\"]"),
        );
        return Vec::new();
    };
    items
        .iter()
        .filter_map(|item| parse_value(item, key, remarks))
        .collect()
}

fn parse_value<T: Written>(
    value: &Spanned<DeValue<'_>>,
    key: &str,
    remarks: &mut Remarks<'_>,
) -> Option<At<T>> {
    let DeValue::String(text) = value.get_ref() else {
        remarks.error(
            &value.span(),
            format!("{key} must be text in quotes"),
            format!("write \"{}\"", T::example(None)),
        );
        return None;
    };
    match text.parse() {
        Ok(parsed) => Some(At {
            value: parsed,
            range: value.span(),
        }),
        Err(error) => {
            let fix = format!("write \"{}\"", T::example(Some(text)));
            remarks.error(&value.span(), format!("{key}: {error}"), fix);
            None
        }
    }
}
