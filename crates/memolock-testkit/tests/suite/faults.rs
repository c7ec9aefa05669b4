//! What is wrong with a broken backend, one promise at a time.

use memolock_core::{Event, Notice};

/// One promise that is not kept. The names say how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is wrong: the wrapper itself conforms.
    None,
    ValuesNeverExpire,
    MillisecondsAreSeconds,
    MomentsAreRefused,
    EternityOverflows,
    LeasesNeverExpire,
    EmptyIsAMiss,
    EmptyIsAMissToAcquire,
    ValuesAreText,
    LargeValuesAreCut,
    LockBeforeValue,
    OwnTokenIsRefused,
    OwnLeaseGoesOn,
    AcquireInTwoSteps,
    AcquiresOverAnything,
    AcquiresOverABeginning,
    AcquiringOverDeletes,
    FulfilsWithAForeignToken,
    FulfilInTwoSteps,
    FulfilLeavesTheLock,
    FulfilTellsNobody,
    TellsBeforeStoring,
    ReleasesForeignLeases,
    ReleaseTellsNobody,
    ForeignReleaseIsTold,
    MessagesOfFailuresAreLost,
    RenewIgnoresTokens,
    RenewBringsLocksBack,
    RenewAnswersBackwards,
    RenewStopsAt500,
    ManyValuesComeBackwards,
    ManyTriesStopAt500,
    ManyStoresIgnoreTokens,
    ManyStoresTellNobody,
    OneOfManySpoilsAll,
    PutTellsNobody,
    OverrideLeavesTheLock,
    ResolveDeletesTheLock,
    InvalidateLeavesTheLock,
    InvalidateOfNothingTellsNobody,
    TellsTheWholeTag,
    TellsTwice,
    HearsThePast,
    HearsOnlyWhenAsked,
    DropDoesNotUnsubscribe,
    PassesOverWhatItMissed,
    LosesTheGap,
    NeverResumes,
    HangsWhenStalled,
    SaysNothingHappened,
    CloseDoesNothing,
    CloseLeavesListeners,
    SecondClosePanics,
    ErrorsNameNoKey,
    ErrorsNameAnotherOperation,
    IdsIgnoreCase,
    IdsStopAtNul,
    PanicsOnGlobs,
    HangsOnLongIds,
    DamageIsAMiss,
    AnswersGoToTheNext,
    DroppedCallsLeak,
    TimesAreForgotten,
    TimedAnswersComeBackwards,
    WhatIsAbsentIsPassedOver,
    TrackersHearNoDeletions,
    TrackersHearTheFirstChangeOnly,
    TrackersHearNames,
    TrackersHearTheWholeStore,
    TrackersHearOfNoGap,
    TrackersNeverHear,
    CloseLeavesTrackers,
}

impl Fault {
    /// Whether a listener hears of an event.
    pub(crate) fn hears(self, event: &Event) -> bool {
        match self {
            Self::LosesTheGap => *event != Event::Gap,
            Self::NeverResumes => *event != Event::Resumed,
            Self::PassesOverWhatItMissed => matches!(event, Event::Message(_)),
            _ => true,
        }
    }

    /// What a release tells.
    pub(crate) fn tells(self, notice: Option<Notice>) -> Option<Notice> {
        match (self, notice) {
            (Self::MessagesOfFailuresAreLost, Some(Notice::Failed(_))) => Some(Notice::failed("")),
            (Self::ReleaseTellsNobody, _) => None,
            (_, notice) => notice,
        }
    }
}
