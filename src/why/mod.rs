//! Why something is stuck: facts to reasons with stable codes.
