"""Logs of holders that heat, bias or hold gas, and of mass spectrometers beside the microscope."""
