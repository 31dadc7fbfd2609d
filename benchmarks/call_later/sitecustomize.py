"""On an agent's PYTHONPATH this has it use the portable alarm, so that its error can be measured on Linux, too."""

from loadgen.engine import timer

timer.ALARM = timer.LoopAlarm
