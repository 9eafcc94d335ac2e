"""What both tracks share: suites, nets, training, entries, scores, tables, audits."""
