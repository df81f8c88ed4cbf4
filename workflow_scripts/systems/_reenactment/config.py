"""Configuration that systems share which drive a face with another."""

from workflow_scripts.config.experiments import BaseExperiment


class ReenactmentExperiment(BaseExperiment):
    """Learn one person's face from a video, and drive it with the landmarks of others."""

    family = "reenactment"
    needs = ("crops",)
    item_kind = "drawings"
    item_stage = "draw_landmarks"
    summarized_kinds = ("drawings",)
    drawn_kinds = ("drawings", "driven")
    drawn_with_index = True

    @property
    def shown_folders(self) -> tuple[str, ...]:
        """Return the folders of videos: the target's held-out frames and every driver are shown."""
        return tuple(f"videos/{source}" for source in [*self.test, *self.apply])
