"""The page of vggapps on a Hugging Face Space: two processors, 16 GB, anybody.

    python apps/space/app.py

serves the same page here.
"""

from vggapps.web import Limits, build

# Half a minute of such a machine, where `vggapps web` allows minutes.
LIMITS = Limits(max_size=512, max_work=40, max_seconds=120, max_upload=10, max_waiting=16)
demo, options, page = build(LIMITS)

if __name__ == "__main__":
    demo.launch(**options, server_name="0.0.0.0")
