//! Windows' own locator of domain controllers. What the products call to find one ends there ([K]): it goes by the server's site and by what
//! it remembers, and gives everybody on this server the same one.

use windows_sys::Win32::Foundation::ERROR_SUCCESS;
use windows_sys::Win32::NetworkManagement::NetManagement::NetApiBufferFree;
use windows_sys::Win32::Networking::ActiveDirectory::{
    DOMAIN_CONTROLLER_INFOW, DS_DIRECTORY_SERVICE_REQUIRED, DS_IS_DNS_NAME, DS_RETURN_DNS_NAME,
    DS_WRITABLE_REQUIRED, DsGetDcNameW,
};
use windows_sys::core::PCWSTR;

use crate::exec::directory::Located;

/// A structure that Windows gave and wants back.
struct Given(*mut DOMAIN_CONTROLLER_INFOW);

impl Drop for Given {
    fn drop(&mut self) {
        // SAFETY: the pointer came from the call that gives it for this one to take back, and is given back once.
        unsafe { NetApiBufferFree(self.0.cast()) };
    }
}

/// A controller of the domain by its DNS name, one that may be written to where any is reached, and the site of this server. A branch that
/// reaches its read-only one alone is told that one.
///
/// # Errors
/// Windows' error code, where it knows none.
pub(crate) fn locate(domain: &str) -> Result<Located, u32> {
    ask(domain, DS_WRITABLE_REQUIRED).or_else(|_| ask(domain, 0))
}

fn ask(domain: &str, more: u32) -> Result<Located, u32> {
    /// ERROR_INVALID_DATA.
    const NOT_TOLD: u32 = 13;
    const WANTED: u32 = DS_DIRECTORY_SERVICE_REQUIRED | DS_IS_DNS_NAME | DS_RETURN_DNS_NAME;
    let name: Vec<u16> = domain.encode_utf16().chain([0]).collect();
    let mut told: *mut DOMAIN_CONTROLLER_INFOW = std::ptr::null_mut();
    // SAFETY: the name ends with a zero; the other names may be null; the result pointer is alive and writable.
    let code = unsafe {
        DsGetDcNameW(
            std::ptr::null(),
            name.as_ptr(),
            std::ptr::null(),
            std::ptr::null(),
            WANTED | more,
            &raw mut told,
        )
    };
    if code != ERROR_SUCCESS {
        return Err(code);
    }
    if told.is_null() {
        return Err(NOT_TOLD);
    }
    let given = Given(told);
    // SAFETY: the call succeeded, so that the structure is filled; it lives until `given` ends.
    let info = unsafe { &*given.0 };
    let host = text(info.DomainControllerName).ok_or(NOT_TOLD)?;
    let host = host.trim_start_matches('\\').trim_end_matches('.');
    Ok(Located {
        host: host.to_lowercase(),
        site: text(info.ClientSiteName),
    })
}

/// A text that Windows gave, where there is one.
fn text(from: PCWSTR) -> Option<String> {
    /// More than a name may have: a text without an end is not read for ever.
    const MOST: usize = 1024;
    if from.is_null() {
        return None;
    }
    let mut signs = Vec::new();
    for at in 0..MOST {
        // SAFETY: the text ends with a zero, and nothing behind that is read.
        let sign = unsafe { *from.add(at) };
        if sign == 0 {
            break;
        }
        signs.push(sign);
    }
    let text = String::from_utf16(&signs).ok()?;
    (!text.is_empty()).then_some(text)
}
