//! What each set of rights gives the provisioning agent's account in a domain (product facts 1.6 [P]), as entries that are looked for
//! in who may do what with the domain itself: everything below inherits from there. The names in such entries are GUIDs of the
//! schema and of the extended rights, the same in every forest; they are those of the schema files of Windows Server 2008 R2 that Samba
//! makes its domains from, and the test against a real domain asks that domain for them. `publicFolder` is of Exchange's schema, and known from
//! secondary sources alone ([S]).

use protocol::step::Permission;

use crate::directory::{self, AccessEntry, mask};

/// A GUID as it is stored: its first three parts with the least byte first.
const fn guid(text: &str) -> [u8; 16] {
    const PLACES: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let bytes = text.as_bytes();
    assert!(bytes.len() == 36, "a GUID has 36 signs");
    let mut stored = [0; 16];
    let (mut at, mut byte) = (0, 0);
    while at < 36 {
        if bytes[at] == b'-' {
            at += 1;
            continue;
        }
        stored[PLACES[byte]] = digit(bytes[at]) << 4 | digit(bytes[at + 1]);
        at += 2;
        byte += 1;
    }
    stored
}

const fn digit(sign: u8) -> u8 {
    match sign {
        b'0'..=b'9' => sign - b'0',
        b'a'..=b'f' => sign - b'a' + 10,
        _ => panic!("a GUID is written in lower case"),
    }
}

/// Names in access lists: attributes, sets of attributes, extended rights, classes; each as the directory spells it, with its GUID.
pub mod names {
    /// The extended right to set a password without knowing the old one.
    pub const RESET_PASSWORD: &str = "00299570-246d-11d0-a768-00aa006e0529";
    /// The extended right to use a password that has expired.
    pub const UNEXPIRE_PASSWORD: &str = "ccc2dc7d-a6ad-4a7a-8846-c04e3cc53501";
    /// The attribute `lockoutTime`, which belongs to no set of attributes.
    pub const LOCKOUT_TIME: &str = "28630ebf-41d5-11d1-a9c1-0000f80367c1";
    /// The attribute `pwdLastSet`.
    pub const PWD_LAST_SET: &str = "bf967a0a-0de6-11d0-a285-00aa003049e2";
    /// The set of attributes that `pwdLastSet` belongs to.
    pub const ACCOUNT_RESTRICTIONS: &str = "4c164200-20c0-11d0-a768-00aa006e0529";
    /// The class `user`.
    pub const USER: &str = "bf967aba-0de6-11d0-a285-00aa003049e2";
    /// The class `inetOrgPerson`.
    pub const INET_ORG_PERSON: &str = "4828cc14-1437-45bc-9b07-ad6f015e5f28";
    /// The class `group`.
    pub const GROUP: &str = "bf967a9c-0de6-11d0-a285-00aa003049e2";
    /// The class `contact`.
    pub const CONTACT: &str = "5cb41ed0-0e4c-11d0-a286-00aa003049e2";
    /// The class `computer`.
    pub const COMPUTER: &str = "bf967a86-0de6-11d0-a285-00aa003049e2";
    /// The class `device`.
    pub const DEVICE: &str = "bf967a8e-0de6-11d0-a285-00aa003049e2";
    /// The class `foreignSecurityPrincipal`.
    pub const FOREIGN_PRINCIPAL: &str = "89e31c12-8530-11d0-afda-00c04fd930c9";
    /// Exchange's class `publicFolder`.
    pub const PUBLIC_FOLDER: &str = "f0f8ffac-1191-11d0-a060-00aa006c33ed";
}

/// A right that a set gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right {
    /// As people call it.
    pub name: &'static str,
    /// Its bit in an entry's mask.
    pub bit: u32,
    /// What an entry may be about that gives it, by GUID; none where it is about whole objects.
    pub about: &'static [[u8; 16]],
    /// On what.
    pub on: On,
}

/// On which objects a right is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// The domain itself.
    Domain,
    /// Objects of that class below it.
    Class([u8; 16]),
    /// Whatever lies below it, of some class or of all: facts 1.6 do not say on which the children are made and deleted.
    Below,
}

impl Right {
    /// Whether these entries of the domain give it to somebody who carries these identifiers.
    #[must_use]
    pub fn is_given(&self, entries: &[AccessEntry], identifiers: &[String]) -> bool {
        let inherits =
            |class| directory::inherits(entries, identifiers, self.bit, self.about, class);
        match self.on {
            On::Domain => {
                let mut about = self.about.iter();
                about.all(|right| directory::holds(entries, identifiers, right))
            }
            On::Class(class) => inherits(Some(&class)),
            On::Below => inherits(None),
        }
    }
}

const fn right(name: &'static str, bit: u32, about: &'static [[u8; 16]], on: On) -> Right {
    Right {
        name,
        bit,
        about,
        on,
    }
}

const fn on(class: &str) -> On {
    On::Class(guid(class))
}

/// What a set gives; nothing of the sets that consist of others.
#[must_use]
pub const fn rights(set: Permission) -> &'static [Right] {
    match set {
        Permission::BasicRead => BASIC_READ,
        Permission::PasswordHashSync => PASSWORD_HASH_SYNC,
        Permission::PasswordWriteback => PASSWORD_WRITEBACK,
        Permission::ExchangeHybrid => EXCHANGE_HYBRID,
        Permission::ExchangePublicFolders => EXCHANGE_PUBLIC_FOLDERS,
        Permission::UserGroupCreateDelete => USER_GROUP_CREATE_DELETE,
        Permission::All => &[],
    }
}

/// The sets that are written, each by itself.
#[must_use]
pub fn each(written: &[Permission]) -> Vec<Permission> {
    let all = written.contains(&Permission::All);
    let each = Permission::ALL.into_iter();
    each.filter(|set| *set != Permission::All && (all || written.contains(set)))
        .collect()
}

/// The set's name is all that facts 1.6 tell of it; what an account of one's own must read is told beside it.
const BASIC_READ: &[Right] = &[
    right("reading users", mask::READ, &[], on(names::USER)),
    right(
        "reading inetOrgPersons",
        mask::READ,
        &[],
        on(names::INET_ORG_PERSON),
    ),
    right("reading groups", mask::READ, &[], on(names::GROUP)),
    right("reading contacts", mask::READ, &[], on(names::CONTACT)),
    right("reading computers", mask::READ, &[], on(names::COMPUTER)),
    right("reading devices", mask::READ, &[], on(names::DEVICE)),
    right(
        "reading foreign security principals",
        mask::READ,
        &[],
        on(names::FOREIGN_PRINCIPAL),
    ),
];

const PASSWORD_HASH_SYNC: &[Right] = &[
    right(
        "Replicating Directory Changes",
        mask::CONTROL,
        &[directory::GET_CHANGES],
        On::Domain,
    ),
    right(
        "Replicating Directory Changes All",
        mask::CONTROL,
        &[directory::GET_CHANGES_ALL],
        On::Domain,
    ),
];

/// Every domain gives the last one to all who signed in, unless somebody took it away ([K]).
const PASSWORD_WRITEBACK: &[Right] = &[
    right(
        "Reset Password of users",
        mask::CONTROL,
        &[guid(names::RESET_PASSWORD)],
        on(names::USER),
    ),
    right(
        "writing lockoutTime of users",
        mask::WRITE,
        &[guid(names::LOCKOUT_TIME)],
        on(names::USER),
    ),
    right(
        "writing pwdLastSet of users",
        mask::WRITE,
        &[guid(names::PWD_LAST_SET), guid(names::ACCOUNT_RESTRICTIONS)],
        on(names::USER),
    ),
    right(
        "Unexpire Password",
        mask::CONTROL,
        &[guid(names::UNEXPIRE_PASSWORD)],
        On::Domain,
    ),
];

const EXCHANGE_HYBRID: &[Right] = &[
    right("reading users", mask::READ, &[], on(names::USER)),
    right("writing users", mask::WRITE, &[], on(names::USER)),
    right(
        "reading inetOrgPersons",
        mask::READ,
        &[],
        on(names::INET_ORG_PERSON),
    ),
    right(
        "writing inetOrgPersons",
        mask::WRITE,
        &[],
        on(names::INET_ORG_PERSON),
    ),
    right("reading groups", mask::READ, &[], on(names::GROUP)),
    right("writing groups", mask::WRITE, &[], on(names::GROUP)),
    right("reading contacts", mask::READ, &[], on(names::CONTACT)),
    right("writing contacts", mask::WRITE, &[], on(names::CONTACT)),
];

const EXCHANGE_PUBLIC_FOLDERS: &[Right] = &[right(
    "reading public folders",
    mask::READ,
    &[],
    on(names::PUBLIC_FOLDER),
)];

const USER_GROUP_CREATE_DELETE: &[Right] = &[
    right("writing users", mask::WRITE, &[], on(names::USER)),
    right("writing groups", mask::WRITE, &[], on(names::GROUP)),
    right(
        "making users",
        mask::CREATE_CHILD,
        &[guid(names::USER)],
        On::Below,
    ),
    right(
        "deleting users",
        mask::DELETE_CHILD,
        &[guid(names::USER)],
        On::Below,
    ),
    right(
        "making groups",
        mask::CREATE_CHILD,
        &[guid(names::GROUP)],
        On::Below,
    ),
    right(
        "deleting groups",
        mask::DELETE_CHILD,
        &[guid(names::GROUP)],
        On::Below,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "S-1-5-21-1-2-3-1105";

    fn entry(mask: u32, right: Option<&str>, class: Option<&str>) -> AccessEntry {
        AccessEntry {
            allows: true,
            inherit_only: true,
            below: true,
            class: class.map(guid),
            who: OWN.to_owned(),
            mask,
            right: right.map(guid),
        }
    }

    fn lacking(set: Permission, entries: &[AccessEntry]) -> Vec<&'static str> {
        let own = [OWN.to_owned()];
        let rights = rights(set).iter();
        let lacking = rights.filter(|right| !right.is_given(entries, &own));
        lacking.map(|right| right.name).collect()
    }

    #[test]
    fn a_guid_is_stored_as_windows_stores_it() {
        assert_eq!(
            guid("1131f6aa-9c07-11d1-f79f-00c04fc2dcd2"),
            directory::GET_CHANGES
        );
    }

    #[test]
    fn full_control_of_everything_is_every_set() {
        let head = AccessEntry {
            inherit_only: false,
            ..entry(mask::GENERIC_ALL, None, None)
        };
        for set in each(&[Permission::All]) {
            assert!(!rights(set).is_empty(), "{set:?}");
            assert_eq!(
                lacking(set, std::slice::from_ref(&head)),
                Vec::<&str>::new()
            );
            assert_eq!(lacking(set, &[]).len(), rights(set).len());
        }
        assert_eq!(each(&[Permission::All]).len(), 6);
        assert_eq!(each(&[Permission::BasicRead]), [Permission::BasicRead]);
        assert_eq!(each(&[]), []);
    }

    #[test]
    fn writeback_wants_each_of_its_rights_on_users() {
        let user = Some(names::USER);
        let unexpire = AccessEntry {
            inherit_only: false,
            below: false,
            ..entry(mask::CONTROL, Some(names::UNEXPIRE_PASSWORD), None)
        };
        let all = [
            entry(mask::CONTROL, Some(names::RESET_PASSWORD), user),
            entry(mask::WRITE, Some(names::LOCKOUT_TIME), user),
            entry(mask::WRITE, Some(names::PWD_LAST_SET), user),
            unexpire,
        ];
        let set = Permission::PasswordWriteback;
        assert_eq!(lacking(set, &all), Vec::<&str>::new());
        for (at, right) in rights(set).iter().enumerate() {
            let mut some = all.to_vec();
            some.remove(at);
            assert_eq!(lacking(set, &some), [right.name]);
            // For another class, for the object itself alone, and denied before, it is not given.
            let mut other = all.to_vec();
            if other[at].class.is_some() {
                other[at].class = Some(guid(names::GROUP));
                assert_eq!(lacking(set, &other), [right.name]);
                other[at] = AccessEntry {
                    below: false,
                    ..all[at].clone()
                };
                assert_eq!(lacking(set, &other), [right.name]);
            }
            let denied = AccessEntry {
                allows: false,
                ..all[at].clone()
            };
            let before: Vec<_> = std::iter::once(denied).chain(all.to_vec()).collect();
            assert_eq!(lacking(set, &before), [right.name]);
        }
        // By the set of attributes to which one belongs, and by writing everything of users.
        let mut by_set = all.to_vec();
        by_set[2] = entry(mask::WRITE, Some(names::ACCOUNT_RESTRICTIONS), None);
        assert_eq!(lacking(set, &by_set), Vec::<&str>::new());
        by_set[1] = entry(mask::GENERIC_WRITE, None, user);
        assert_eq!(lacking(set, &by_set), Vec::<&str>::new());
    }

    #[test]
    fn a_part_of_an_object_is_not_the_whole() {
        let part = entry(mask::WRITE, Some(names::PWD_LAST_SET), None);
        let whole = |class| entry(mask::READ | mask::WRITE, None, Some(class));
        let set = Permission::ExchangeHybrid;
        assert_eq!(lacking(set, &[part]).len(), 8);
        let most = [names::USER, names::INET_ORG_PERSON, names::GROUP].map(whole);
        assert_eq!(
            lacking(set, &most),
            ["reading contacts", "writing contacts"]
        );
        // Children are made by an entry about their class, or about all.
        let made = |right| entry(mask::CREATE_CHILD | mask::DELETE_CHILD, right, None);
        let set = Permission::UserGroupCreateDelete;
        let users = [made(Some(names::USER))];
        assert_eq!(
            lacking(set, &users),
            [
                "writing users",
                "writing groups",
                "making groups",
                "deleting groups"
            ]
        );
        let all = [made(None), whole(names::USER), whole(names::GROUP)];
        assert_eq!(lacking(set, &all), Vec::<&str>::new());
    }
}
