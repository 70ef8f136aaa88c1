"""Topic clusters as a profile column: fitted on train, kept with the run, given to every row."""
