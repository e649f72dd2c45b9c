"""Row columns: keys, amounts and reserved names of attributed rows; apart, so that readers of figures import no pandas."""

from __future__ import annotations

IDLE_NAME, UNATTRIBUTED_NAME, HOST_DEVICE = "(idle)", "(unattributed)", "(host)"
# In place of a use case, a model or a charter status where no request bears the energy.
RESERVED_USE_CASES = (IDLE_NAME, UNATTRIBUTED_NAME)
UNATTRIBUTED_KEY = (UNATTRIBUTED_NAME, UNATTRIBUTED_NAME, UNATTRIBUTED_NAME)
ENERGY_COLUMNS = ("active_uj", "idle_uj", "host_uj", "facility_uj")
KEY_COLUMNS = ("slot", "segment", "host", "device", "service", "use_case", "model")
# Beside the energies: the difference of the active part under the lowest and the highest weights; the part that a model
# divided; the parts that are modelled (B) or assumed (C) rather than measured; embodied emissions [µg].
# Of the IT energy: by how much it may be too high and too low where sensors disagree; the parts whose sensor an independent
# witness confirms and disputes.
DOUBT_COLUMNS = ("doubt_low_uj", "doubt_high_uj", "confirmed_uj", "disputed_uj")
OTHER_COLUMNS = ("spread_a_uj", "spread_b_uj", "modelled_uj", "grade_b_uj", "grade_c_uj", "embodied_ug", *DOUBT_COLUMNS)
AMOUNTS = (*ENERGY_COLUMNS, *OTHER_COLUMNS)
