"""Arms of an attacker who knows the detector: registered attacks on net and detector together."""
