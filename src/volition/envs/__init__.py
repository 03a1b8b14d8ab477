"""Environments: making them, setting them to a state, observing and drawing them."""

from volition.envs.own.registration import register_environments

register_environments()
