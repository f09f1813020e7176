//! What a look at a registry reads. One lane per registry.

use crate::plan::SignalId;
use crate::readiness::signals::Signal;

/// The list that was looked for, one row: `source` text (`configuration`, or the file's path), `count` int, `written` time
/// or null (when the file was written, by the clock of its disk).
pub const LIST: SignalId = SignalId::new("images.list");
/// One row per image of the list: `image` text (as it is written), `pinned` bool (asked for by digest), `outcome` text
/// ([`PRESENT`], [`MISSING`], [`NOT_UNDERSTOOD`], or the code of a gap's reason), `detail` text, `digest` text or null,
/// `index` bool or null (several platforms, or one image).
pub const MANIFESTS: SignalId = SignalId::new("images.manifests");
/// One row per platform of each image that is present: `image` text, `platform` text (empty where nobody says), `digest`
/// text or null (of its manifest), `config` text or null (of its configuration: equal where the content is), `outcome` text
/// ([`PRESENT`], [`MISSING`], [`UNVERIFIED`], or the code of a gap's reason), `detail` text, `parts` int (manifest,
/// configuration and layers), `verified` int (of these, seen within three times `verify_every`).
pub const CONTENTS: SignalId = SignalId::new("images.contents");
/// How many images of the list are present.
pub const COUNT: SignalId = SignalId::new("images.present");

/// It is there.
pub const PRESENT: &str = "present";
/// The registry says that it is not there.
pub const MISSING: &str = "missing";
/// The entry of the list is no image of this probe's.
pub const NOT_UNDERSTOOD: &str = "not-understood";
/// Not all of it was asked for yet.
pub const UNVERIFIED: &str = "unverified";

/// Every signal, with unit and meaning.
pub const SIGNALS: &[Signal] = &[
    Signal::new(LIST, "rows", "the list of images that was looked for"),
    Signal::new(MANIFESTS, "rows", "which image each name stands for in this registry"),
    Signal::new(CONTENTS, "rows", "whether each platform of each image could be pulled"),
    Signal::charted(COUNT, "count", "how many of the images are there"),
];
