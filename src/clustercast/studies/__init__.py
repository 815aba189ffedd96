"""Many questions asked together: plans ranked, rules evaluated."""
