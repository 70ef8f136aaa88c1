"""The command line: options, configs, LightningCLI and plug-ins.

In: words. Out: a run. The package itself imports nothing, so that help and misspelt names are answered at once.
"""
