"""A ridge probe in closed form, with exact leave-one-out predictions and a regularisation chosen without labels."""
