"""How the networks of each family are applied to a user's own pictures and videos; `commands/apply.py` finds them.

A module of the family's name has `add_options(parser)`, the options that it adds to the command line, `PAGE`, which of
them the local page shows and how (`commands/_controls.py`), and one of

    build_editor(trained, args, device)     an `Editor`: faces of pictures and videos are changed where they are
    drive(trained, args, driver, output)    a video is made of a driver

Arguments and errors are described where the command calls them. A family without a module is not applied.
"""
