"""What users hand over: checked, encoded, and looked at before a fit."""
