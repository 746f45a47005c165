"""The form that all sections of settings share."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Named values with limits; frozen, and no name that it does not know."""

    # Defaults are validated too, so that 5000 is 5000.0 whether it was read from TOML or not.
    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )
