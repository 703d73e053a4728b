"""DataPress' API: a Flask application, and what gunicorn needs to serve it."""
