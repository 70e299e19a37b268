setenv WORK /work/$user
echo "Welcome to the other box."
