"""The commands of `langsense`, by who gives them; each module is an app of its own, loaded when asked for."""
