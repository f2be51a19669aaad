"""The doctor: opens a real stream through the address that browsers use, and says what it finds; see live_doctor."""
