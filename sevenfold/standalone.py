"""Airflow's `standalone` command without its log servers: they listen on every network; the page reads files."""

from airflow.cli.commands import standalone_command


class Part(standalone_command.SubCommand):  # type: ignore[misc]
    """One of Airflow's programs."""

    command: list[str]

    def run(self) -> None:
        """Run it, and give its output to the command."""
        if self.name in {"scheduler", "triggerer"}:
            self.command = [*self.command, "--skip-serve-logs"]
        super().run()


if __name__ == "__main__":
    standalone_command.SubCommand = Part
    standalone_command.StandaloneCommand().run()
