"""Integrations: `gradviz.watch` in the manner of a training library.

`gradviz.integrations.accelerate.GradvizTracker`, `gradviz.integrations.transformers.GradvizCallback` and
`gradviz.integrations.lightning.GradvizCallback` start the recording, pass numbers on and end it. Everything
else is observed as in any other loop. Each loads its library when it is imported.
"""
