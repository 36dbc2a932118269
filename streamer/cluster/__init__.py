"""Past one machine: gateways, workers that are whole servers, and Ray, which places them."""
