"""The filters of the pages' templates. Importing a module registers its filters."""
