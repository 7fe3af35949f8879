//! The published JSON Schema of a topology, for editors. A test holds it against the parser.

use protocol::step::Permission;
use serde_json::{Value, json};

use crate::topology::model::Overlap;
use crate::topology::settings::{Farm, Feature, UserSignIn};

/// The schema (JSON Schema, draft 2020-12).
#[must_use]
pub fn json_schema() -> Value {
    let text = json!({ "type": "string" });
    let texts = json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 });
    let labels = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let at_least = json!({
        "type": "object", "additionalProperties": false,
        "properties": { "at_least": { "type": "string", "pattern": "^[0-9]+(\\.[0-9]+){0,3}$" } },
    });
    let table = |properties: Value, required: &[&str]| json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required });
    let named = |table: Value| json!({ "type": "object", "additionalProperties": table });
    let tenant = table(
        json!({
            "id": { "type": "string", "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$" },
            "cloud": { "enum": ["commercial", "us-government", "china"], "default": "commercial" },
            "graph": text, "sign_in": { "enum": ["token", "credential", "wizard"] },
            "owner": text, "change": { "enum": ["optional", "required"], "default": "optional" },
        }),
        &["id"],
    );
    let site = table(
        json!({ "zone": text, "reboot": { "enum": ["never", "ask", "window"], "default": "ask" } }),
        &[],
    );
    let domain = table(
        json!({
            "owner": text, "directory": { "enum": ["handover", "ask"], "default": "handover" },
            "min_serving": { "type": "integer", "minimum": 0 }, "allow_outage": { "type": "boolean" },
            "preferred_dcs": texts,
            "permissions": { "type": "array", "items": { "enum": Permission::ALL.map(Permission::as_str) } },
        }),
        &[],
    );
    let options = table(
        json!({
            "proxy": { "type": "string", "pattern": "^http://[A-Za-z0-9.-]+:[0-9]+/?$" },
            "fips_exempt": { "type": "boolean" }, "ldap_timeout": text, "referral_chasing": { "type": "boolean" },
        }),
        &[],
    );
    let agents = table(
        json!({
            "tenant": text, "site": text, "labels": labels, "serves": texts, "hosts": texts, "retired": texts,
            "gmsa": { "type": "string", "pattern": "^[A-Za-z0-9._-]{1,15}\\$$" }, "adopt": { "type": "boolean" },
            "may_fix": { "type": "array", "items": { "enum": ["tls12", "vaultsvc"] } }, "options": options,
        }),
        &["serves", "hosts"],
    );
    let limits = table(
        json!({
            "add": { "type": "integer" }, "update": { "type": "integer" }, "delete": { "type": "integer" },
            "max_age": text,
        }),
        &[],
    );
    let by_forest = |value: &Value| json!({ "type": "object", "additionalProperties": value });
    let boolean = json!({ "type": "boolean" });
    let federation = table(
        json!({
            "farm": { "enum": Farm::WORDS }, "servers": texts, "proxies": texts, "certificate": text, "service_account": text, "domain": text,
        }),
        &[],
    );
    let database = table(
        json!({ "sql_server": text, "sql_database": text, "existing_database": boolean }),
        &["sql_server"],
    );
    let filtering = table(json!({ "apps": texts, "without": texts }), &[]);
    let settings = table(
        json!({
            "location": text, "sql_server": text, "sql_database": text, "existing_database": boolean,
            "databases": named(database), "interactive_sign_in": boolean, "single_sign_on_forests": texts,
            "attribute_filtering": filtering, "directory_extensions": texts,
            "service_account": text, "groups": texts, "import": text,
            "sign_in": { "enum": UserSignIn::WORDS, "default": "password-hash-sync" }, "single_sign_on": boolean,
            "federation": federation, "unverified_suffixes": boolean,
            "accounts": by_forest(&text), "user_name": text, "units": by_forest(&texts), "new_units": boolean,
            "identity": text, "source_anchor": text, "pilot_groups": by_forest(&text),
            "features": { "type": "array", "items": { "enum": Feature::WORDS } }, "start": boolean,
        }),
        &[],
    );
    let connect = table(
        json!({
            "tenant": text, "site": text, "labels": labels, "forests": texts, "trees": by_forest(&texts), "servers": texts, "retired": texts, "gone": texts,
            "prefer_active": text, "may_fix": { "type": "array", "items": { "enum": ["tls12"] } },
            "proxy": { "type": "string", "pattern": "^http://[A-Za-z0-9.-]+:[0-9]+/?$" }, "proxy_sign_in": boolean,
            "settings": { "oneOf": [{ "const": "express" }, settings] }, "pending_exports": limits,
            "overlap": by_forest(&json!({ "enum": Overlap::WORDS })),
        }),
        &["forests", "servers"],
    );
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Entrain topology",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "product": table(json!({ "provisioning-agent": at_least, "connect": at_least }), &[]),
            "tenant": named(tenant), "site": named(site), "domain": named(domain), "agents": named(agents),
            "connect": named(connect),
        },
    })
}
