//! Where Connect Sync's engine lies on this server. Whoever chose "Specify a custom installation location" has it elsewhere than by
//! default (product facts 2.5 [R]), and the service tells where; behind a removal, which takes the service, a note of our own does.

use protocol::Version;

use crate::op::{Op, RegistryValue};
use crate::procedure::{Cx, Flow, Reading};
use crate::product;
use crate::step::facts::join;

/// The folder of the engine's programs, as its service tells it; `None` where there is no service.
fn told(cx: &mut Cx<'_>) -> Flow<Reading<Option<String>>> {
    let image = cx.registry(product::CONNECT_SERVICE_KEY, product::IMAGE_PATH)?;
    Ok(image.and_then(|image| {
        let image = image.as_ref();
        image.map(product::folder_of_image).transpose()
    }))
}

/// The folder that was noted before a removal.
fn noted(cx: &mut Cx<'_>) -> Flow<Reading<Option<String>>> {
    cx.text(product::OWED_KEY, product::OWED_ENGINE)
}

/// Where the engine's program may be: where the service says, and else where it was before a removal, or lies by default.
fn programs(cx: &mut Cx<'_>) -> Flow<Reading<Vec<String>>> {
    let folders = match told(cx)? {
        Ok(Some(told)) => vec![told],
        Ok(None) => match noted(cx)? {
            Ok(noted) => {
                let usual = product::CONNECT_BIN.to_owned();
                noted.into_iter().chain([usual]).collect()
            }
            Err(why) => return Ok(Err(why)),
        },
        Err(why) => return Ok(Err(why)),
    };
    let program = |folder: &String| join(folder, product::CONNECT_PROGRAM);
    Ok(Ok(folders.iter().map(program).collect()))
}

/// The version of the engine, where there is one.
///
/// # Errors
/// While outcomes are missing.
pub(super) fn version(cx: &mut Cx<'_>) -> Flow<Reading<Option<Version>>> {
    let programs = match programs(cx)? {
        Ok(programs) => programs,
        Err(why) => return Ok(Err(format!("where it lies: {why}"))),
    };
    for program in programs {
        let version = cx.file_version(&program)?;
        if version != Ok(None) {
            return Ok(version);
        }
    }
    Ok(Ok(None))
}

/// Notes the folder before the service goes that tells it. The note stays: what is left there is looked for by whoever verifies the
/// removal, however often, and the next removal writes its own.
///
/// # Errors
/// While outcomes are missing.
pub(super) fn note(cx: &mut Cx<'_>) -> Flow<Reading<()>> {
    let folder = match told(cx)? {
        Ok(Some(folder)) => folder,
        Ok(None) => return Ok(Ok(())),
        Err(why) => return Ok(Err(why)),
    };
    if noted(cx)?.is_ok_and(|noted| noted.as_ref() == Some(&folder)) {
        return Ok(Ok(()));
    }
    cx.perform(Op::SetRegistry {
        key: product::OWED_KEY.to_owned(),
        value: product::OWED_ENGINE.to_owned(),
        data: RegistryValue::Text(folder),
    })
}

/// The engine's program where it is still there, by its full path.
///
/// # Errors
/// While outcomes are missing.
pub(super) fn left(cx: &mut Cx<'_>) -> Flow<Reading<Option<String>>> {
    let programs = match programs(cx)? {
        Ok(programs) => programs,
        Err(why) => return Ok(Err(why)),
    };
    for program in programs {
        match cx.path_exists(&program)? {
            Ok(true) => return Ok(Ok(Some(program))),
            Ok(false) => {}
            Err(why) => return Ok(Err(why)),
        }
    }
    Ok(Ok(None))
}
