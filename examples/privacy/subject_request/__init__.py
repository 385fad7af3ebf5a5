"""A data-subject request in Python: asked for over gRPC, proven without it.

Copy this package into your privacy tooling. ``client`` makes the calls, ``proof`` checks a receipt with nothing but the
public key and the library ``cryptography``, ``__main__`` ties them together. Import each by its name: whoever only checks
receipts needs no gRPC. The rules, and where each is kept:

* A request has one id, kept with its case. A call that broke off is made again with the same id, and is done once.
* A person's data goes to the files that were asked for, for their owner only. No message holds any of it.
* A receipt is not believed because the service said so: ``proof`` believes the key that the operator published.
"""
