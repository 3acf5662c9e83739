"""For the tests of your product: what would have been sent, as plain objects.

```python
from tocsin.testing import capture_spans

def test_report_is_traced(client):
    with capture_spans() as captured:
        client.get("/reports/7", headers={"X-Tenant-ID": "acme"})
    assert captured.find("GET /reports/{report_id}").tenant == "acme"
```
"""

from tocsin.sdk.capture import Capture, CapturedEvent, CapturedLog, CapturedRequests, CapturedSpan, capture_spans

__all__ = ["Capture", "CapturedEvent", "CapturedLog", "CapturedRequests", "CapturedSpan", "capture_spans"]
