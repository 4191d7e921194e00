//! Long runs of many processes that are stopped, continued and killed at random, while pages are
//! checked. `SHMETRICS_LONG=1` runs the long forms.

mod churn;
mod create_race;
mod kills;
mod lifetimes;
mod redefined;
